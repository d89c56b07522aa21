"""Quantisation shifts the log odds of every image a little the same way; the float ends take that shift back.

Rounding in the network moves its outputs by a constant and by noise (Nagel et al. 2019, arXiv 1906.04721, section
4.2). The constant is measured on training images, quantised graph against Keras, and subtracted where it costs
nothing: from the bias of the calibration and from the reference distance of typicality. Validation takes no part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.fit import Calibration
from pneumoscope.calibration.typicality import SHARPNESS, TypicalityModel
from pneumoscope.model.runtime import LiteRTRuntime

# Beyond this a float32 probability is too near 0 or 1 to tell its log odds.
_SATURATED = 1e-5


@dataclass(frozen=True)
class Shift:
    """How far a quantised graph lies from Keras: medians over images, in nats.

    Attributes:
        probability: log odds of P(pneumonia), quantised less Keras.
        typicality: log odds of typicality, likewise.
    """

    probability: float
    typicality: float


def measure_shift(graph: keras.Model, flatbuffer: bytes, images: Sequence[NDArray[np.uint8]]) -> Shift:
    """Run both graphs on the same images, ``uint8 [H, W]``."""
    outputs = [graph.predict_on_batch(np.stack(images[i : i + 32])[..., None]) for i in range(0, len(images), 32)]
    runtime = LiteRTRuntime(flatbuffer, threads=1)
    quantized = [runtime.run(image) for image in images]

    def median_shift(name: str, theirs: list[float]) -> float:
        ours = np.concatenate([keras.ops.convert_to_numpy(batch[name])[:, 0] for batch in outputs])
        pairs = np.stack([np.asarray(theirs), ours.astype(np.float64)])
        known = pairs[:, ((pairs > _SATURATED) & (pairs < 1 - _SATURATED)).all(axis=0)]
        if known.shape[1] == 0:
            return 0.0
        logits = np.log(known) - np.log1p(-known)
        return float(np.median(logits[0] - logits[1]))

    return Shift(
        median_shift("probability", [output.probability for output in quantized]),
        median_shift("typicality", [output.typicality for output in quantized]),
    )


def compensate(
    shift: Shift, calibration: Calibration, typicality: TypicalityModel
) -> tuple[Calibration, TypicalityModel]:
    """The ends of a graph that undo a shift."""
    return (
        dataclasses.replace(calibration, bias=calibration.bias - shift.probability),
        dataclasses.replace(typicality, reference=typicality.reference - shift.typicality / SHARPNESS),
    )
