"""The complete graph of a one-file model: grey pixels in; probability, subtype, heatmap and typicality out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pneumoscope.calibration.fit import Calibration
from pneumoscope.calibration.typicality import TypicalityModel
from pneumoscope.export.layers import (
    CalibratedProbability,
    GreyLevels,
    HiddenLayerGradCam,
    PooledGradCam,
    Typicality,
)


def assemble(network: keras.Model, calibration: Calibration, typicality: TypicalityModel) -> keras.Model:
    """Wrap a trained network into the graph that every client runs.

    Args:
        network: from ``training.networks``, with outputs ``logits``, ``maps`` and ``embedding``.
        calibration: of its log odds.
        typicality: fitted on its embedding.

    Returns:
        ``uint8 [N, H, W, 1]`` in; a dictionary of ``probability [N, 1]``, ``heatmap [N, h, w]``,
        ``typicality [N, 1]`` and, for three classes, ``subtype [N, 3]``, all ``float32``, out.
    """
    height, width = network.input_shape[1:3]
    pixels = keras.Input((height, width, 1), dtype="uint8", name="pixels")
    with_hidden = _with_hidden(network)
    out = with_hidden(GreyLevels(name="grey_levels")(pixels))
    calibrated = CalibratedProbability(calibration.temperature, calibration.bias, name="calibrated")
    outputs: dict[str, Any] = dict(calibrated(out["logits"]))
    outputs["heatmap"] = _heatmap(network, out)
    typical = Typicality(
        typicality.components.shape[1], typicality.rest_precision, typicality.reference, name="typicality"
    )
    outputs["typicality"] = typical(out["embedding"])
    typical.set_model(typicality)
    return keras.Model(pixels, outputs, name=f"{network.name}-complete")


def _has_hidden_layer(network: keras.Model) -> bool:
    return any(layer.name == "hidden" for layer in network.layers)


def _with_hidden(network: keras.Model) -> keras.Model:
    if not _has_hidden_layer(network):
        return network
    outputs = {**network.output, "hidden": network.get_layer("hidden").output}
    return keras.Model(network.input, outputs, name=network.name)


def _heatmap(network: keras.Model, out: dict[str, Any]) -> Any:
    kernel = network.get_layer("classifier").get_weights()[0]
    if not _has_hidden_layer(network):
        pooled = PooledGradCam(name="heatmap")
        heatmap = pooled([out["maps"], out["logits"]])
        pooled.set_weights([kernel])
        return heatmap
    hidden = HiddenLayerGradCam(name="heatmap")
    heatmap = hidden([out["maps"], out["hidden"]])
    rows, columns, channels = out["maps"].shape[1:]
    hidden_kernel = network.get_layer("hidden").get_weights()[0]
    averaged = hidden_kernel.reshape(rows * columns, channels, -1).mean(0)
    hidden.set_weights([averaged.astype(np.float32), kernel[:, 0]])
    return heatmap
