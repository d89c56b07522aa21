"""Does the exported file decide as Keras does? Measured on validation radiographs, never on noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.model.contract import OperatingPoint, Quantization
from pneumoscope.model.runtime import LiteRTRuntime
from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.compare import Difference, Rival, compare
from pneumoscope.statistics.intervals import Interval, wilson
from pneumoscope.statistics.metrics import Metric
from pneumoscope.statistics.table import PredictionTable

COMPARED = (Metric.AUC, Metric.ECE, Metric.BRIER)
"""Figures whose change is given with an interval: how well images are ranked, and calibration twice."""


@dataclass(frozen=True)
class ParityLimits:
    """What an export must keep.

    Attributes:
        probability: largest difference of P(pneumonia) on any image.
        flips: largest share of decisions that change, at every operating point.
        refusals: largest share of images that only one of the two refuses. The typicality limit lies amid the least
            typical validation radiographs, so that the nearest may change sides by rounding alone.
        auc_loss: largest loss of AUC.
        heatmap_correlation: smallest median correlation of heatmaps.
    """

    probability: float
    flips: float
    refusals: float
    auc_loss: float
    heatmap_correlation: float


LIMITS: Mapping[Quantization, ParityLimits] = {
    Quantization.FLOAT32: ParityLimits(1e-4, 0.0, 0.0, 1e-6, 0.9999),
    Quantization.FLOAT16: ParityLimits(1e-2, 1 / 1000, 1 / 400, 0.001, 0.98),
    Quantization.DYNAMIC: ParityLimits(1.0, 1 / 200, 1 / 100, 0.001, 0.98),
    Quantization.INT8: ParityLimits(1.0, 1 / 200, 1 / 100, 0.001, 0.98),
}

SIZE_GOALS: Mapping[Quantization, float] = {Quantization.INT8: 0.3}
"""Largest file wished for, as a share of the float32 one's bytes. Scales do not shrink with the weights, so a small
network may miss it; its decisions are no worse for that, so it is written."""


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What one graph says about N radiographs.

    Attributes:
        probability: of pneumonia, ``float64 [N]``.
        heatmap: ``float32 [N, h, w]``; ``None`` where the graph has none.
        typicality: ``float64 [N]``.
        subtype: ``float32 [N, 3]``; ``None`` where the graph has none.
    """

    probability: NDArray[np.float64]
    heatmap: NDArray[np.float32] | None
    typicality: NDArray[np.float64]
    subtype: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Radiographs:
    """The images that parity is measured on, with their truth.

    Attributes:
        pixels: ``uint8 [N, H, W]``.
        positive: which show pneumonia, ``bool [N]``.
        patients: N keys; intervals are clustered by them.
        names: N file names without their folders.
    """

    pixels: NDArray[np.uint8]
    positive: NDArray[np.bool_]
    patients: Sequence[str | None]
    names: Sequence[str]


@dataclass(frozen=True)
class Change:
    """A count of decisions that changed.

    Attributes:
        count: how many.
        share: of all, 0 to 1.
        ci95: Wilson interval of the share.
    """

    count: int
    share: float
    ci95: Interval

    @classmethod
    def between(cls, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Change:
        """Where two decisions on the same N images differ, N at least 1."""
        count = int((before != after).sum())
        interval = wilson(count, len(before))
        assert interval is not None  # N >= 1
        return cls(count, count / len(before), interval)


@dataclass(frozen=True)
class Parity:
    """An exported graph against Keras on the same radiographs.

    Attributes:
        form: ``litert`` or ``mediapipe``.
        quantization: of the exported graph.
        n: radiographs compared.
        bytes: of the exported graph.
        share_of_float32: those bytes over the float32 graph's.
        largest_difference: of P(pneumonia).
        mean_difference: of P(pneumonia), absolute.
        flips: decisions that changed, by operating point.
        refusals: images that only one of the two refuses as untypical.
        metrics: AUC, ECE and Brier score: ``a`` exported, ``b`` Keras, their difference with its bootstrap interval.
        heatmap_correlation: median over images of the Pearson correlation; maps constant in both count as 1;
            ``None`` where the form has no heatmap.
        heatmap_correlation_p5: what 95 % of the images exceed.
        largest_typicality_difference: of typicality.
        limits: what had to hold.
        broken: the limits that do not hold, in words.
    """

    form: str
    quantization: Quantization
    n: int
    bytes: int
    share_of_float32: float
    largest_difference: float
    mean_difference: float
    flips: Mapping[str, Change]
    refusals: Change
    metrics: Mapping[str, Difference]
    heatmap_correlation: float | None
    heatmap_correlation_p5: float | None
    largest_typicality_difference: float
    limits: ParityLimits
    broken: tuple[str, ...] = field(default=())

    @property
    def missed_goals(self) -> tuple[str, ...]:
        """What the form falls short of, in words; nothing that decides differently."""
        goal = SIZE_GOALS.get(self.quantization, 1.0)
        if self.share_of_float32 <= goal:
            return ()
        return (f"{self.share_of_float32:.1%} of the float32 graph's size, at most {goal:.0%} wished for",)


def predict_with_keras(graph: keras.Model, pixels: NDArray[np.uint8]) -> ModelOutputs:
    """What the complete Keras graph says about ``uint8 [N, H, W]`` images."""
    batches = [graph.predict_on_batch(pixels[i : i + 32, ..., None]) for i in range(0, len(pixels), 32)]
    probability, heatmap, typicality = (
        np.concatenate([keras.ops.convert_to_numpy(batch[name]) for batch in batches])
        for name in ("probability", "heatmap", "typicality")
    )
    return ModelOutputs(probability[:, 0].astype(np.float64), heatmap, typicality[:, 0].astype(np.float64))


def predict_with_litert(graph: bytes, pixels: NDArray[np.uint8]) -> ModelOutputs:
    """What a LiteRT graph says about ``uint8 [N, H, W]`` images."""
    runtime = LiteRTRuntime(graph, threads=1)
    outputs = [runtime.run(image) for image in pixels]
    return ModelOutputs(
        np.array([output.probability for output in outputs]),
        np.stack([output.heatmap for output in outputs]),
        np.array([output.typicality for output in outputs]),
        np.stack([output.subtype for output in outputs if output.subtype is not None]) if runtime.has_subtype else None,
    )


@dataclass(frozen=True)
class Thresholds:
    """Where decisions are made.

    Attributes:
        operating_points: by name.
        default: the operating point used when none is asked for.
        typicality_limit: below it an input is refused.
    """

    operating_points: Mapping[str, OperatingPoint]
    default: str
    typicality_limit: float


@dataclass(frozen=True)
class ExportedForm:
    """What is compared with Keras.

    Attributes:
        form: ``litert`` or ``mediapipe``.
        quantization: decides the limits.
        bytes: of its graph.
        float32_bytes: of the float32 graph of the same network.
    """

    form: str
    quantization: Quantization
    bytes: int
    float32_bytes: int


def measure_parity(
    exported: ExportedForm,
    judged: ModelOutputs,
    reference: ModelOutputs,
    images: Radiographs,
    thresholds: Thresholds,
    *,
    draws: int = bootstrap.DRAWS,
) -> Parity:
    """Compare what an exported graph says with what Keras says.

    Args:
        exported: what was exported.
        judged: its judgements of ``images``.
        reference: Keras' judgements of the same.
        images: with both classes among them.
        thresholds: at which decisions are compared.
        draws: of the bootstrap.
    """
    difference = np.abs(judged.probability - reference.probability)
    limit = thresholds.typicality_limit
    correlations = _correlations(reference.heatmap, judged.heatmap)
    parity = Parity(
        form=exported.form,
        quantization=exported.quantization,
        n=len(images.pixels),
        bytes=exported.bytes,
        share_of_float32=exported.bytes / exported.float32_bytes,
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        flips={
            name: Change.between(reference.probability >= point.threshold, judged.probability >= point.threshold)
            for name, point in thresholds.operating_points.items()
        },
        refusals=Change.between(reference.typicality < limit, judged.typicality < limit),
        metrics=_metric_changes(judged, reference, images, thresholds, draws),
        heatmap_correlation=None if correlations is None else float(np.median(correlations)),
        heatmap_correlation_p5=None if correlations is None else float(np.percentile(correlations, 5)),
        largest_typicality_difference=float(np.abs(judged.typicality - reference.typicality).max()),
        limits=LIMITS[exported.quantization],
    )
    return dataclasses.replace(parity, broken=_broken(parity))


def _metric_changes(
    judged: ModelOutputs, reference: ModelOutputs, images: Radiographs, thresholds: Thresholds, draws: int
) -> dict[str, Difference]:
    threshold = thresholds.operating_points[thresholds.default].threshold
    tables = [
        PredictionTable.from_arrays(
            images.positive.astype(np.int64), each.probability, paths=images.names, patients=images.patients
        )
        for each in (judged, reference)
    ]
    rival = Rival(tables[1], threshold, thresholds.default, {"name": "Keras"})
    differences = compare(tables[0], threshold, rival, draws=draws).differences
    return {metric.value: differences[metric] for metric in COMPARED}


def _correlations(ours: NDArray[np.float32] | None, theirs: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
    if ours is None or theirs is None:
        return None
    return np.array([_correlation(a, b) for a, b in zip(ours, theirs, strict=True)])


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.std() == 0 or b.std() == 0:
        return float(a.std() == b.std())
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _broken(parity: Parity) -> tuple[str, ...]:
    limits = parity.limits
    allowed, refusals = (math.floor(share * parity.n) for share in (limits.flips, limits.refusals))
    auc = parity.metrics[Metric.AUC.value]
    auc_loss = -auc.difference if auc.difference is not None else math.inf
    checks = {
        f"largest probability difference {parity.largest_difference:.2g}, at most {limits.probability:g}": (
            parity.largest_difference <= limits.probability
        ),
        f"{parity.refusals.count} of {parity.n} refusals change, at most {refusals}": (
            parity.refusals.count <= refusals
        ),
        f"AUC falls by {auc_loss:.5f}, at most {limits.auc_loss:g}": auc_loss <= limits.auc_loss,
    }
    for name, change in parity.flips.items():
        checks[f"{change.count} of {parity.n} decisions flip at '{name}', at most {allowed}"] = change.count <= allowed
    if parity.heatmap_correlation is not None:
        said = f"median heatmap correlation {parity.heatmap_correlation:.4f}, at least {limits.heatmap_correlation:g}"
        checks[said] = parity.heatmap_correlation >= limits.heatmap_correlation
    return tuple(message for message, holds in checks.items() if not holds)
