"""Does the exported file decide as Keras does? Measured on validation radiographs, never on noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.contract import OperatingPoint, Quantization
from pneumoscope.runtime import LiteRTRuntime


@dataclass(frozen=True)
class ParityLimits:
    """What an export must keep.

    Attributes:
        probability: largest difference of P(pneumonia) on any image.
        flips: largest share of decisions that change, at every operating point.
        auc_loss: largest loss of AUC.
        heatmap_correlation: smallest median correlation of heatmaps.
    """

    probability: float
    flips: float
    auc_loss: float
    heatmap_correlation: float


LIMITS: Mapping[Quantization, ParityLimits] = {
    Quantization.FLOAT32: ParityLimits(1e-4, 0.0, 1e-6, 0.9999),
    Quantization.FLOAT16: ParityLimits(1e-2, 0.0, 0.001, 0.98),
    Quantization.DYNAMIC: ParityLimits(1.0, 1 / 200, 0.001, 0.98),
    Quantization.INT8: ParityLimits(1.0, 1 / 200, 0.001, 0.98),
}


@dataclass(frozen=True)
class Parity:
    """An exported graph against Keras on the same radiographs.

    Attributes:
        quantization: of the exported graph.
        n: radiographs compared.
        largest_difference: of P(pneumonia).
        mean_difference: of P(pneumonia), absolute.
        flips: decisions that changed, by operating point.
        auc_keras: area under the ROC curve of the Keras graph.
        auc_exported: of the exported graph.
        heatmap_correlation: median over images of the Pearson correlation; maps constant in both count as 1.
        largest_typicality_difference: of typicality.
        broken: the limits that do not hold, in words.
    """

    quantization: Quantization
    n: int
    largest_difference: float
    mean_difference: float
    flips: Mapping[str, int]
    auc_keras: float
    auc_exported: float
    heatmap_correlation: float
    largest_typicality_difference: float
    broken: tuple[str, ...]


def measure_parity(
    graph: keras.Model,
    flatbuffer: bytes,
    quantization: Quantization,
    pixels: NDArray[np.uint8],
    positive: NDArray[np.bool_],
    operating_points: Mapping[str, OperatingPoint],
) -> Parity:
    """Run both on the same radiographs and compare.

    Args:
        graph: the complete Keras graph.
        flatbuffer: what it was converted to.
        quantization: how; decides the limits.
        pixels: ``uint8 [N, H, W]`` radiographs.
        positive: which show pneumonia, ``bool [N]``.
        operating_points: thresholds at which decisions are compared.
    """
    from sklearn.metrics import roc_auc_score

    reference = [graph.predict_on_batch(pixels[i : i + 32, ..., None]) for i in range(0, len(pixels), 32)]
    probability, heatmaps, typicality = (
        np.concatenate([keras.ops.convert_to_numpy(batch[name]) for batch in reference])
        for name in ("probability", "heatmap", "typicality")
    )
    runtime = LiteRTRuntime(flatbuffer, threads=2)
    exported = [runtime.run(image) for image in pixels]
    theirs = np.array([output.probability for output in exported])
    ours = probability[:, 0].astype(np.float64)
    parity = Parity(
        quantization=quantization,
        n=len(pixels),
        largest_difference=float(np.abs(theirs - ours).max()),
        mean_difference=float(np.abs(theirs - ours).mean()),
        flips={
            name: int(((theirs >= point.threshold) != (ours >= point.threshold)).sum())
            for name, point in operating_points.items()
        },
        auc_keras=float(roc_auc_score(positive, ours)),
        auc_exported=float(roc_auc_score(positive, theirs)),
        heatmap_correlation=float(
            np.median([_correlation(a, b.heatmap) for a, b in zip(heatmaps, exported, strict=True)])
        ),
        largest_typicality_difference=float(
            np.abs(typicality[:, 0] - np.array([output.typicality for output in exported])).max()
        ),
        broken=(),
    )
    return dataclasses.replace(parity, broken=_broken(parity, LIMITS[quantization]))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.std() == 0 or b.std() == 0:
        return float(a.std() == b.std())
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _broken(parity: Parity, limits: ParityLimits) -> tuple[str, ...]:
    worst_flips = max(parity.flips.values(), default=0)
    checks = {
        f"largest probability difference {parity.largest_difference:.2g}, at most {limits.probability:g}": (
            parity.largest_difference <= limits.probability
        ),
        f"{worst_flips} of {parity.n} decisions flip, at most {math.floor(limits.flips * parity.n)}": (
            worst_flips <= limits.flips * parity.n
        ),
        f"AUC falls by {parity.auc_keras - parity.auc_exported:.5f}, at most {limits.auc_loss:g}": (
            parity.auc_keras - parity.auc_exported <= limits.auc_loss
        ),
        f"median heatmap correlation {parity.heatmap_correlation:.4f}, at least {limits.heatmap_correlation:g}": (
            parity.heatmap_correlation >= limits.heatmap_correlation
        ),
    }
    return tuple(message for message, holds in checks.items() if not holds)
