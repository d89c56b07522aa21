"""Interval estimates: Wilson for proportions, DeLong for AUC, Newcombe at its edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

LEVEL: Final = 0.95
_Z: Final = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson(hits: int, trials: int) -> Interval | None:
    """95 % Wilson score interval of a proportion; ``None`` without trials.

    Wilson, JASA 1927, doi 10.1080/01621459.1927.10502953; statsmodels' implementation. It takes images as
    independent, which several images of one patient are not: see the clustered bootstrap beside it.
    """
    from statsmodels.stats.proportion import proportion_confint

    if trials == 0:
        return None
    low, high = proportion_confint(hits, trials, alpha=1 - LEVEL, method="wilson")
    # At the ends the limits are 0 and 1 exactly; rounding would leave 1e-18 beside them.
    return 0.0 if hits == 0 else float(low), 1.0 if hits == trials else float(high)


@dataclass(frozen=True, eq=False)
class DeLong:
    """AUCs of K models on the same images with their covariance.

    Attributes:
        aucs: ``float64 [K]``.
        covariance: ``float64 [K, K]`` of the AUCs.
        positives: number of positive images.
        negatives: number of negative images.
    """

    aucs: NDArray[np.float64]
    covariance: NDArray[np.float64]
    positives: int
    negatives: int

    def interval(self, model: int = 0) -> Interval | None:
        """95 % interval ``AUC +- 1.96 s`` cut to 0..1; ``None`` where the variance cannot be estimated.

        That is where one class has a single image, or where the ranking is perfect (or perfectly wrong, or all
        tied) and the estimated variance is zero, which would give an interval without width.
        """
        variance = self.covariance[model, model]
        if not variance > 0:
            return None
        half = _Z * math.sqrt(variance)
        return max(0.0, float(self.aucs[model]) - half), min(1.0, float(self.aucs[model]) + half)

    def difference_error(self, first: int = 0, second: int = 1) -> float | None:
        """Standard error of the first AUC less the second; ``None`` where it cannot be estimated.

        That is where one class has a single image, or where the variance is zero but for rounding: both rank alike,
        or each perfectly or perfectly wrong.
        """
        contrast = np.zeros(len(self.aucs))
        contrast[first] += 1
        contrast[second] -= 1
        variance = float(contrast @ self.covariance @ contrast)
        return math.sqrt(variance) if variance > 1e-15 else None

    def difference_interval(self, first: int = 0, second: int = 1) -> Interval | None:
        """95 % interval of the first AUC less the second on the same images; ``None`` as of the error."""
        error, difference = self.difference_error(first, second), float(self.aucs[first] - self.aucs[second])
        return None if error is None else (difference - _Z * error, difference + _Z * error)


def delong(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> DeLong:
    """AUCs and their covariance by DeLong's method.

    DeLong, DeLong, Clarke-Pearson, Biometrics 1988, doi 10.2307/2531595, computed from mid-ranks after Sun and
    Xu, IEEE Signal Processing Letters 2014, doi 10.1109/LSP.2014.2337313: O(N log N) and not O(positives x
    negatives).

    Args:
        labels: ``int64 [N]``, both classes present.
        scores: ``float64 [N]`` of one model or ``[K, N]`` of several, higher for positives.

    Returns:
        The AUCs; the covariance is NaN where a class has a single image.

    Raises:
        ValueError: a class is missing.
    """
    from scipy.stats import rankdata

    scores = np.atleast_2d(scores)
    positive = labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        raise ValueError("an AUC needs both classes")
    all_ranks = rankdata(scores, axis=1)
    # Share of the other class that each image beats (V10 and V01 in the paper).
    beaten_by_positive = (all_ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n
    beaten_by_negative = 1 - (all_ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / m
    if m > 1 and n > 1:
        covariance = np.atleast_2d(np.cov(beaten_by_positive)) / m + np.atleast_2d(np.cov(beaten_by_negative)) / n
    else:
        covariance = np.full((len(scores), len(scores)), math.nan)
    return DeLong(beaten_by_positive.mean(axis=1), covariance, m, n)


def newcombe_auc(auc: float, positives: int, negatives: int) -> Interval:
    """95 % score interval of an AUC that stays proper where DeLong's variance is zero or unknown.

    Newcombe, Statistics in Medicine 2006, doi 10.1002/sim.2324 (method 5): the set of AUCs t with
    ``|auc - t| <= 1.96 sqrt(V(t))``, V being Hanley and McNeil's variance with both class sizes in its
    correction terms replaced by their mean.

    Args:
        auc: 0..1.
        positives: number of positive images, >= 1.
        negatives: number of negative images, >= 1.
    """
    from scipy.optimize import brentq

    mean_less_one = (positives + negatives) / 2 - 1

    def variance(t: float) -> float:
        correction = mean_less_one * ((1 - t) / (2 - t) + t / (1 + t))
        return t * (1 - t) * (1 + correction) / (positives * negatives)

    def outside(t: float) -> float:
        return (auc - t) ** 2 - _Z**2 * variance(t)

    edge = 1e-12  # V is 0 at both ends, so the search stops short of the one that the AUC may sit on
    low = 0.0 if auc <= 0 else float(brentq(outside, 0.0, min(auc, 1 - edge)))
    high = 1.0 if auc >= 1 else float(brentq(outside, max(auc, edge), 1.0))
    return low, high
