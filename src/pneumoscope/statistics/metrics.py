"""Point estimates: the twelve figures of a report, each defined where it is computed.

A refused image counts as a wrong decision in every figure that is made of decisions (so the confusion matrix
sums to n). The figures made of scores (AUC, average precision, Brier, ECE) are over the judged images only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

ECE_BINS: Final = 15


class Metric(StrEnum):
    """The figures of a report, named as in ``report.json``."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PRECISION = "precision"
    NPV = "npv"
    F1 = "f1"
    MCC = "mcc"
    AUC = "auc"
    AVERAGE_PRECISION = "average_precision"
    BRIER = "brier"
    ECE = "ece"


DECISION_METRICS: Final = (
    *(Metric.ACCURACY, Metric.BALANCED_ACCURACY, Metric.SENSITIVITY, Metric.SPECIFICITY),
    *(Metric.PRECISION, Metric.NPV, Metric.F1, Metric.MCC),
)
"""Figures made of decisions: all images, a refusal is an error."""

SCORE_METRICS: Final = (Metric.AUC, Metric.AVERAGE_PRECISION, Metric.BRIER, Metric.ECE)
"""Figures made of scores: judged images only."""


@dataclass(frozen=True)
class Counts:
    """A confusion matrix, pneumonia being the positive class.

    Attributes:
        tn: normals called normal.
        fp: normals called pneumonia, or refused.
        fn: pneumonias called normal, or refused.
        tp: pneumonias called pneumonia.
    """

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """All images."""
        return self.tn + self.fp + self.fn + self.tp

    def proportion(self, metric: Metric) -> tuple[int, int] | None:
        """``(hits, trials)`` of a metric that is a plain proportion, else ``None``."""
        proportions: Mapping[Metric, tuple[int, int]] = {
            Metric.ACCURACY: (self.tn + self.tp, self.n),
            Metric.SENSITIVITY: (self.tp, self.tp + self.fn),
            Metric.SPECIFICITY: (self.tn, self.tn + self.fp),
            Metric.PRECISION: (self.tp, self.tp + self.fp),
            Metric.NPV: (self.tn, self.tn + self.fn),
        }
        return proportions.get(metric)


@dataclass(frozen=True)
class Estimates:
    """Point estimates.

    Attributes:
        values: every :class:`Metric`; ``None`` where it is undefined.
        undefined: why, for each that is.
    """

    values: Mapping[Metric, float | None]
    undefined: Mapping[Metric, str]


def refusals_as_errors(labels: NDArray[np.int64], decisions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Decisions with each refusal (-1) replaced by the wrong answer.

    Args:
        labels: ``int64 [N]``, 0 or 1.
        decisions: ``int64 [N]``, 0, 1 or -1.

    Returns:
        ``int64 [N]``, 0 or 1.
    """
    return np.where(decisions < 0, 1 - labels, decisions)


def confusion(labels: NDArray[np.int64], decisions: NDArray[np.int64]) -> Counts:
    """The confusion matrix; refusals (-1) count as errors."""
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(labels, refusals_as_errors(labels, decisions), labels=[0, 1])
    return Counts(*(int(value) for value in matrix.ravel()))


def decision_estimates(counts: Counts) -> Estimates:
    """The figures made of decisions, from the confusion matrix.

    Definitions: Altman and Bland, BMJ 1994;308:1552 (sensitivity, specificity) and 309:102 (predictive
    values); MCC: Matthews, BBA 1975, doi 10.1016/0005-2795(75)90109-9; balanced accuracy: Brodersen et al.,
    ICPR 2010, doi 10.1109/ICPR.2010.764. Undefined where a denominator is zero; no value is put in its place.
    """
    values: dict[Metric, float | None] = {}
    undefined: dict[Metric, str] = {}
    no_class = "no pneumonia among the images" if counts.tp + counts.fn == 0 else "no normal among the images"
    reasons = {
        Metric.SENSITIVITY: "no pneumonia among the images",
        Metric.SPECIFICITY: "no normal among the images",
        Metric.PRECISION: "no image was called pneumonia",
        Metric.NPV: "no image was called normal",
        Metric.BALANCED_ACCURACY: no_class,
        Metric.F1: "no pneumonia among the images, and none called so",
        Metric.MCC: "all images are of one class or were called one class",
    }

    def put(metric: Metric, numerator: float, denominator: float) -> None:
        if denominator:
            values[metric] = numerator / denominator
        else:
            values[metric], undefined[metric] = None, reasons[metric]

    for metric in DECISION_METRICS:
        if proportion := counts.proportion(metric):
            put(metric, *proportion)
    tn, fp, fn, tp = counts.tn, counts.fp, counts.fn, counts.tp
    positives, negatives = tp + fn, tn + fp
    put(Metric.BALANCED_ACCURACY, tp * negatives + tn * positives, 2 * positives * negatives)
    put(Metric.F1, 2 * tp, 2 * tp + fp + fn)
    margins = float(tp + fp) * positives * negatives * (tn + fn)
    put(Metric.MCC, tp * tn - fp * fn, math.sqrt(margins))
    return Estimates({metric: values[metric] for metric in DECISION_METRICS}, undefined)


def score_estimates(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Estimates:
    """The figures made of scores.

    AUC is the area under the empirical ROC curve, ties counting half; average precision is scikit-learn's
    step-wise sum; Brier is the mean squared difference of probability and label (Brier 1950,
    doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); for ECE see :func:`expected_calibration_error`.

    Args:
        labels: ``int64 [N]`` of the judged images, 0 or 1.
        probabilities: ``float64 [N]``, 0..1, no NaN.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    if len(labels) == 0:
        return Estimates(dict.fromkeys(SCORE_METRICS), dict.fromkeys(SCORE_METRICS, "no image was judged"))
    values: dict[Metric, float | None] = dict.fromkeys(SCORE_METRICS)
    undefined: dict[Metric, str] = {}
    missing = "pneumonia" if not labels.any() else "normal" if labels.all() else None
    if missing is None:
        values[Metric.AUC] = float(roc_auc_score(labels, probabilities))
    else:
        undefined[Metric.AUC] = f"no {missing} among the judged images"
    if labels.any():
        values[Metric.AVERAGE_PRECISION] = float(average_precision_score(labels, probabilities))
    else:
        undefined[Metric.AVERAGE_PRECISION] = "no pneumonia among the judged images"
    values[Metric.BRIER] = float(brier_score_loss(labels, probabilities, pos_label=1))
    values[Metric.ECE] = expected_calibration_error(labels, probabilities)
    return Estimates(values, undefined)


def equal_mass_bins(probabilities: NDArray[np.float64], bins: int = ECE_BINS) -> NDArray[np.int64]:
    """Bin numbers such that each bin holds about the same number of images, equal scores staying together.

    An image whose group of equal scores has its middle at rank r of N goes to bin ``floor(bins * r / N)``, so
    the bins do not depend on the order of the rows.

    Args:
        probabilities: ``float64 [N]``.
        bins: how many at most; some stay empty where N is small or scores are tied.

    Returns:
        ``int64 [N]``, 0 .. bins - 1.
    """
    from scipy.stats import rankdata

    middle = np.asarray(rankdata(probabilities, method="average")) - 0.5
    numbers: NDArray[np.int64] = (bins * middle / len(probabilities)).astype(np.int64)
    return numbers


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], bins: int = ECE_BINS
) -> float:
    """Expected calibration error over equal-mass bins.

    ``sum_b n_b / n * |mean label in b - mean probability in b|`` of P(pneumonia) against pneumonia: Naeini et
    al., AAAI 2015, doi 10.1609/aaai.v29i1.9602 (definition); Nixon et al., CVPR Workshops 2019,
    arXiv 1904.01685 (equal-mass bins, of which :func:`equal_mass_bins` keeps ties together).
    With finite data it is biased upwards: a perfectly calibrated model does not score 0.

    Args:
        labels: ``int64 [N]``, 0 or 1, N >= 1.
        probabilities: ``float64 [N]``, 0..1.
        bins: number of bins.

    Returns:
        0 (calibrated) to 1.
    """
    gaps = np.bincount(equal_mass_bins(probabilities, bins), weights=labels - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
