"""The bootstrap clustered by patient, vectorised: every draw is a row of weights, never a copy of the data.

Images of one patient are not independent, so patients are drawn with replacement, each with all of its images
(Field and Welsh, JRSS B 2007, doi 10.1111/j.1467-9868.2007.00593.x, the cluster bootstrap). Scores are sorted
once; each figure of a draw is then a weighted sum along that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics.intervals import Interval
from pneumoscope.statistics.metrics import ECE_BINS, Metric

DRAWS: Final = 2000
MIN_DEFINED_SHARE: Final = 0.5
ROC_GRID: Final = np.linspace(0.0, 1.0, 201)
_CHUNK: Final = 50  # draws at a time: keeps the working arrays of 5,000 images within a few MB
_KEPT: Final = 5_000_000  # numbers of a resampling that is kept: 20 MB

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resampling:
    """B draws of patients with replacement, a chunk of them in memory at a time.

    Attributes:
        cluster: ``int64 [N]``, the patient number of each image.
        patients: how many there are.
        draws: B.
        seed: of the draws.
    """

    cluster: NDArray[np.int64]
    patients: int
    draws: int
    seed: int

    @classmethod
    def draw(
        cls, patients: Sequence[str | None] | None, images: int, *, draws: int = DRAWS, seed: int = 0
    ) -> Resampling:
        """Draw patients; an image without a key is a patient of its own."""
        known = patients if patients is not None else [None] * images
        keys = np.asarray([f"image {row}" if key is None else f"patient {key}" for row, key in enumerate(known)])
        cluster = np.unique(keys, return_inverse=True)[1]
        return cls(cluster, int(cluster.max()) + 1, draws, seed)

    def chunks(self) -> Iterator[NDArray[np.int32]]:
        """How often each draw holds each patient, ``int32 [b, patients]``, draw by draw the same in every pass.

        Few patients are drawn once and kept; many are drawn anew for each pass, because a matrix of all draws by all
        patients would fill the memory.
        """
        return iter(self._few) if self.draws * self.patients <= _KEPT else self._drawn()

    def _drawn(self) -> Iterator[NDArray[np.int32]]:
        generator = np.random.default_rng(self.seed)
        shares = np.full(self.patients, 1 / self.patients)
        for start in range(0, self.draws, _CHUNK):
            size = min(_CHUNK, self.draws - start)
            yield generator.multinomial(self.patients, shares, size=size).astype(np.int32)

    @cached_property
    def _few(self) -> list[NDArray[np.int32]]:
        return list(self._drawn())

    @property
    def counts(self) -> NDArray[np.int32]:
        """All chunks as one matrix ``int32 [B, patients]``: for small tables only."""
        return np.concatenate(list(self.chunks()))

    def totals(self, *columns: NDArray[np.generic]) -> Floats:
        """Weighted sums over all images of each draw: ``[N]`` columns -> ``float64 [len(columns), B]``."""
        sums = [np.bincount(self.cluster, weights=column, minlength=self.patients) for column in columns]
        by_patient = np.asarray(sums, dtype=np.float64)
        return np.concatenate([by_patient @ chunk.T.astype(np.float64) for chunk in self.chunks()], axis=1)

    def proportion(self, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Floats:
        """Share of hits in each draw, ``float64 [B]``, NaN where a draw has no trial."""
        hit, trials = self.totals(hits & among, among)
        return _ratio(hit, trials)


def decision_draws(
    resampling: Resampling, labels: NDArray[np.int64], settled: NDArray[np.int64]
) -> dict[Metric, Floats]:
    """The figures made of decisions in each draw, ``float64 [B]`` each, NaN where undefined.

    Args:
        resampling: over the same N images.
        labels: ``int64 [N]``.
        settled: ``int64 [N]``, decisions without refusals (:func:`~.metrics.refusals_as_errors`).
    """
    positive, called = labels == 1, settled == 1
    tn, fp, fn, tp = resampling.totals(~positive & ~called, ~positive & called, positive & ~called, positive & called)
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        Metric.ACCURACY: _ratio(tn + tp, tn + fp + fn + tp),
        Metric.BALANCED_ACCURACY: (sensitivity + specificity) / 2,
        Metric.SENSITIVITY: sensitivity,
        Metric.SPECIFICITY: specificity,
        Metric.PRECISION: _ratio(tp, tp + fp),
        Metric.NPV: _ratio(tn, tn + fn),
        Metric.F1: _ratio(2 * tp, 2 * tp + fp + fn),
        Metric.MCC: _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
    }


@dataclass(frozen=True, eq=False)
class ScoreDraws:
    """The figures made of scores in each of B draws.

    Attributes:
        metrics: AUC, average precision, Brier and ECE, ``float64 [B]`` each, NaN where undefined.
        specificity_at: by wanted sensitivity, ``float64 [B]``; each draw chooses its own threshold.
        tpr: ``float64 [B, len(ROC_GRID)]``, the ROC curves at :data:`ROC_GRID`.
    """

    metrics: Mapping[Metric, Floats]
    specificity_at: Mapping[float, Floats]
    tpr: Floats


def score_draws(
    resampling: Resampling,
    labels: NDArray[np.int64],
    probabilities: Floats,
    judged: NDArray[np.bool_],
    sensitivities: Sequence[float] = (),
) -> ScoreDraws:
    """The figures made of scores in each draw, over the judged images.

    Args:
        resampling: over the same N images.
        labels: ``int64 [N]``.
        probabilities: ``float64 [N]``, NaN where not judged.
        judged: ``bool [N]``, at least one.
        sensitivities: for which the specificity is wanted.
    """
    order = np.flatnonzero(judged)
    order = order[np.argsort(-probabilities[order], kind="stable")]
    columns = _Sorted(labels[order].astype(np.float64), probabilities[order], tuple(sensitivities))
    cluster = resampling.cluster[order]
    results = [columns.evaluate(chunk[:, cluster].astype(np.float64)) for chunk in resampling.chunks()]
    joined = [np.concatenate(parts) for parts in zip(*results, strict=True)]
    auc, ap, brier, ece, tpr, *at = joined
    metrics = {Metric.AUC: auc, Metric.AVERAGE_PRECISION: ap, Metric.BRIER: brier, Metric.ECE: ece}
    return ScoreDraws(metrics, dict(zip(sensitivities, at, strict=True)), tpr)


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Labels and scores in descending order of score."""

    labels: Floats
    scores: Floats
    sensitivities: tuple[float, ...]

    def evaluate(self, weights: Floats) -> tuple[Floats, ...]:
        """Weights ``[b, N]`` in the same order -> AUC, AP, Brier, ECE, ROC, specificities."""
        positive = self._by_score(weights * self.labels)
        negative = self._by_score(weights * (1 - self.labels))
        true, false = positive.cumsum(axis=1), negative.cumsum(axis=1)
        positives, negatives, total = true[:, -1], false[:, -1], weights.sum(axis=1)
        auc = _ratio((negative * (true - positive / 2)).sum(axis=1), positives * negatives)
        called = true + false
        precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
        average_precision = _ratio((positive * precision).sum(axis=1), positives)
        brier = _ratio(weights @ (self.scores - self.labels) ** 2, total)
        tpr = np.stack([_roc(t, f) for t, f in zip(true, false, strict=True)])
        at = [_specificity_at(s, true, false) for s in self.sensitivities]
        return auc, average_precision, brier, self._ece(weights, called, total), tpr, *at

    def _by_score(self, values: Floats) -> Floats:
        """Sum ``[b, N]`` over images of equal score -> ``[b, groups]``."""
        starts = np.flatnonzero(np.diff(self.scores, prepend=np.inf))
        return values if len(starts) == len(self.scores) else np.add.reduceat(values, starts, axis=1)

    def _ece(self, weights: Floats, called: Floats, total: Floats) -> Floats:
        """As :func:`~.metrics.expected_calibration_error`, the bins made anew in each draw."""
        in_group = np.diff(called, prepend=0.0, axis=1)
        middle = total[:, None] - called + in_group / 2
        safe_total = np.where(total > 0, total, 1.0)[:, None]
        bins = np.minimum(ECE_BINS * middle / safe_total, ECE_BINS - 1).astype(np.int64)
        bins += ECE_BINS * np.arange(len(weights))[:, None]
        gaps = self._by_score(weights * (self.labels - self.scores))
        sums = np.bincount(bins.ravel(), weights=gaps.ravel(), minlength=ECE_BINS * len(weights))
        return _ratio(np.abs(sums.reshape(len(weights), ECE_BINS)).sum(axis=1), total)


def _roc(true: Floats, false: Floats) -> Floats:
    if true[-1] == 0 or false[-1] == 0:
        return np.full(len(ROC_GRID), np.nan)
    x, y = np.concatenate([[0.0], false / false[-1]]), np.concatenate([[0.0], true / true[-1]])
    return np.asarray(np.interp(ROC_GRID, x, y), dtype=np.float64)


def _specificity_at(sensitivity: float, true: Floats, false: Floats) -> Floats:
    reached = true >= sensitivity * true[:, -1:] - 1e-9
    first = reached.argmax(axis=1)
    passed = _ratio(np.take_along_axis(false, first[:, None], axis=1)[:, 0], false[:, -1])
    return np.where(true[:, -1] > 0, 1 - passed, np.nan)


def percentile_interval(draws: Floats) -> Interval | None:
    """The 2.5 % and 97.5 % points of the defined draws; ``None`` where fewer than half are defined.

    Efron's percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
    """
    defined = draws[np.isfinite(draws)]
    if len(defined) < MIN_DEFINED_SHARE * len(draws):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def percentile_band(curves: Floats) -> tuple[Floats, Floats] | None:
    """Point-wise 2.5 % and 97.5 % curves of ``[B, X]``, or ``None`` where fewer than half are defined."""
    defined = curves[np.isfinite(curves).all(axis=1)]
    if len(defined) < MIN_DEFINED_SHARE * len(curves):
        return None
    low, high = np.percentile(defined, [2.5, 97.5], axis=0)
    return low, high


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
