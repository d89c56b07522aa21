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
from pneumoscope.training.lungs.crop import CropToBox, FixedResize, LungBox, MapInPicture

PICTURE_SIDE = 224
"""Height and width in pixels of the picture that a graph with a lung field takes."""

HEATMAP_SIDE = 28
"""Cells a side of the heatmap in the frame of the whole picture: 8 pixels of 224 each, finer than networks' maps."""


def assemble(
    network: keras.Model,
    calibration: Calibration,
    typicality: TypicalityModel,
    lung_field: keras.Model | None = None,
) -> keras.Model:
    """Wrap a trained network into the graph that every client runs.

    Args:
        network: from ``training.networks``, with outputs ``logits``, ``maps`` and ``embedding``.
        calibration: of its log odds.
        typicality: fitted on its embedding.
        lung_field: from ``training.networks.lung_field``: the network then sees the lungs' box alone, resampled to its
            own square. ``None`` shows it the whole picture.

    Returns:
        ``uint8 [N, H, W, 1]`` in; a dictionary of ``probability [N, 1]``, ``heatmap [N, h, w]`` in the frame of the
        picture, ``typicality [N, 1]`` and, for three classes, ``subtype [N, 3]``, all ``float32``, out. With a lung
        field also ``lungs [N, 96, 96]``, P(lung), and ``lung_box [N, 4]``: ``x0, y0, x1, y1`` with the margin, shares
        of width and height; the whole picture where no lungs were found.
    """
    height, width = network.input_shape[1:3] if lung_field is None else (PICTURE_SIDE, PICTURE_SIDE)
    pixels = keras.Input((height, width, 1), dtype="uint8", name="pixels")
    grey = GreyLevels(name="grey_levels")(pixels)
    lungs = None if lung_field is None else _find_lungs(lung_field, grey)
    seen = grey if lungs is None else CropToBox(network.input_shape[1], name="lung_crop")([grey, lungs["lung_box"]])
    out = _with_hidden(network)(seen)
    calibrated = CalibratedProbability(calibration.temperature, calibration.bias, name="calibrated")
    outputs: dict[str, Any] = dict(calibrated(out["logits"]))
    outputs["heatmap"] = _heatmap(network, out)
    if lungs is not None:
        in_picture = MapInPicture(HEATMAP_SIDE, name="heatmap_in_picture")
        outputs |= {**lungs, "heatmap": in_picture([outputs["heatmap"], lungs["lung_box"]])}
    typical = Typicality(
        typicality.components.shape[1], typicality.rest_precision, typicality.reference, name="typicality"
    )
    outputs["typicality"] = typical(out["embedding"])
    typical.set_model(typicality)
    return keras.Model(pixels, outputs, name=f"{network.name}-complete")


def _find_lungs(lung_field: keras.Model, grey: Any) -> dict[str, Any]:
    """Mask and box of grey levels ``[N, H, W, 1]``."""
    small = FixedResize(lung_field.input_shape[1], name="lung_picture")(grey)
    mask = keras.layers.Activation("sigmoid", name="lung_mask")(lung_field(small))
    box = LungBox(name="lung_box")(mask)["box"]
    flat = keras.layers.Reshape(mask.shape[1:3], name="lungs")(mask)
    return {"lungs": flat, "lung_box": box}


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
