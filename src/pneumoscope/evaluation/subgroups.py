"""The figures taken apart: by subtype, by operating point, at fixed sensitivity, in three classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.intervals import Interval, wilson
from pneumoscope.statistics.metrics import Counts, Metric, confusion, decision_estimates, refusals_as_errors
from pneumoscope.statistics.operating_points import at_sensitivity
from pneumoscope.statistics.table import SUBTYPE_NAMES, PredictionTable

PNEUMONIA_SUBTYPES = SUBTYPE_NAMES[1:]


@dataclass(frozen=True)
class SubtypeResult:
    """Sensitivity among the images of one true subtype; refusals are errors.

    Attributes:
        n: images.
        sensitivity: 0..1, ``None`` without images.
        ci95: Wilson.
        ci95_bootstrap: clustered by patient.
    """

    n: int
    sensitivity: float | None
    ci95: Interval | None
    ci95_bootstrap: Interval | None

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "n": self.n,
            "sensitivity": self.sensitivity,
            "ci95": self.ci95 and list(self.ci95),
            "ci95_bootstrap": self.ci95_bootstrap and list(self.ci95_bootstrap),
        }


@dataclass(frozen=True)
class ThreeClassResult:
    """Normal, bacterial, viral by the most probable of three; refusals are errors.

    Attributes:
        n: images whose true subtype is known.
        accuracy: 0..1.
        ci95: Wilson.
        confusion: counts by true class (row) and answer (column) in the order of ``SUBTYPE_NAMES``, judged
            images only.
        bacterial_viral_auc: AUC of P(bacterial) / (P(bacterial) + P(viral)) among the judged pneumonias;
            ``None`` where one of the two is missing.
    """

    n: int
    accuracy: float
    ci95: Interval
    confusion: tuple[tuple[int, ...], ...]
    bacterial_viral_auc: float | None

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "ci95": list(self.ci95),
            "labels": list(SUBTYPE_NAMES),
            "confusion_matrix": [list(row) for row in self.confusion],
            "bacterial_viral_auc": self.bacterial_viral_auc,
        }


@dataclass(frozen=True)
class PointResult:
    """One operating point on these images.

    Attributes:
        threshold: pneumonia from this probability on.
        counts: the confusion matrix, refusals as errors.
        values: the figures made of decisions, ``None`` where undefined.
        ci95: Wilson, for those that are proportions.
    """

    threshold: float
    counts: Counts
    values: Mapping[Metric, float | None]
    ci95: Mapping[Metric, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "threshold": self.threshold,
            **{metric.value: value for metric, value in self.values.items()},
            "confusion_matrix": {
                "tn": self.counts.tn,
                "fp": self.counts.fp,
                "fn": self.counts.fn,
                "tp": self.counts.tp,
            },
            "ci95": {metric.value: interval and list(interval) for metric, interval in self.ci95.items()},
        }


@dataclass(frozen=True)
class SensitivityResult:
    """Specificity where the sensitivity is fixed, the threshold chosen on these very images.

    Attributes:
        threshold: of these images, not to be carried over to others.
        sensitivity: what was reached, at least what was wanted.
        specificity: 0..1.
        ci95_bootstrap: of the specificity, clustered by patient, the threshold chosen anew in each draw.
    """

    threshold: float
    sensitivity: float
    specificity: float
    ci95_bootstrap: Interval | None

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "threshold": self.threshold,
            "threshold_chosen_on": "these images, so optimistic",
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "ci95_bootstrap": self.ci95_bootstrap and list(self.ci95_bootstrap),
        }


def by_subtype(
    table: PredictionTable, decisions: NDArray[np.int64], resampling: bootstrap.Resampling
) -> dict[str, SubtypeResult]:
    """Sensitivity for each pneumonia subtype; empty where no image's subtype is known.

    Args:
        table: predictions.
        decisions: ``int64 [N]``, 0, 1 or -1 (refused).
        resampling: over the same images.
    """
    if table.subtypes is None:
        return {}
    found = refusals_as_errors(table.labels, decisions) == 1
    truth = np.asarray([subtype or "" for subtype in table.subtypes])
    results = {}
    for name in PNEUMONIA_SUBTYPES:
        among = (truth == name) & (table.labels == 1)
        n, hits = int(among.sum()), int((found & among).sum())
        boot = bootstrap.percentile_interval(resampling.proportion(found, among))
        results[name] = SubtypeResult(n, hits / n if n else None, wilson(hits, n), boot)
    return results


def three_class(table: PredictionTable) -> ThreeClassResult | None:
    """Accuracy in three classes, or ``None`` where table or model does not tell subtypes."""
    from sklearn.metrics import confusion_matrix, roc_auc_score

    if table.subtypes is None or table.subtype_probabilities is None:
        return None
    truth = np.asarray([SUBTYPE_NAMES.index(subtype) if subtype else -1 for subtype in table.subtypes])
    known = truth >= 0
    usable = known & table.judged & np.isfinite(table.subtype_probabilities).all(axis=1)
    if not usable.any():
        return None
    answers = table.subtype_probabilities[usable].argmax(axis=1)
    hits, n = int((answers == truth[usable]).sum()), int(known.sum())
    interval = wilson(hits, n)
    assert interval is not None  # n >= 1
    matrix = confusion_matrix(truth[usable], answers, labels=[0, 1, 2])
    ill = usable & (truth > 0)
    bacterial, viral = table.subtype_probabilities[ill, 1], table.subtype_probabilities[ill, 2]
    auc = None
    if len(set(truth[ill])) == 2:
        share = np.divide(bacterial, bacterial + viral, out=np.full(len(viral), 0.5), where=bacterial + viral > 0)
        auc = float(roc_auc_score(truth[ill] == 1, share))
    return ThreeClassResult(n, hits / n, interval, tuple(tuple(int(v) for v in row) for row in matrix), auc)


def by_operating_point(table: PredictionTable, thresholds: Mapping[str, float]) -> dict[str, PointResult]:
    """What each named threshold reaches on these images, in order of the threshold."""
    results = {}
    for name, threshold in sorted(thresholds.items(), key=lambda item: item[1]):
        counts = confusion(table.labels, table.decisions(threshold))
        estimates = decision_estimates(counts)
        proportions = {metric: counts.proportion(metric) for metric in estimates.values}
        ci95 = {metric: wilson(*pair) for metric, pair in proportions.items() if pair}
        results[name] = PointResult(threshold, counts, estimates.values, ci95)
    return results


def by_sensitivity(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], drawn: bootstrap.ScoreDraws | None
) -> dict[float, SensitivityResult]:
    """Specificity at the sensitivities that the bootstrap was run for; empty with one class only.

    Args:
        labels: ``int64 [N]`` of the judged images.
        probabilities: ``float64 [N]``.
        drawn: the bootstrap over the same images, ``None`` without judged images.
    """
    if drawn is None or labels.all() or not labels.any():
        return {}
    results = {}
    for wanted, draws in drawn.specificity_at.items():
        point = at_sensitivity(labels, probabilities, wanted)
        boot = bootstrap.percentile_interval(draws)
        results[wanted] = SensitivityResult(point.threshold, point.sensitivity, point.specificity, boot)
    return results
