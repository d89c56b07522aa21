"""Calibration error of weighted scores, beside what a perfectly calibrated model would show on as few images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics.metrics import ECE_BINS

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_DRAWS = 400


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error of weighted scores.

    Attributes:
        ece: 0 (calibrated) to 1.
        if_perfect: what the same scores and weights would give on average if they were perfectly calibrated: with few
            images an ECE is well above 0 by chance alone (Nixon et al., CVPR Workshops 2019, arXiv 1904.01685).
        if_perfect_95: what they would stay below in 95 of 100 draws.
        bias: weighted mean of score less label, the calibration in the large; -1 to 1.
    """

    ece: float
    if_perfect: float
    if_perfect_95: float
    bias: float

    @property
    def excess(self) -> float:
        """What is left of the ECE after chance; 0 or above."""
        return max(0.0, self.ece - self.if_perfect)


def weighted_bins(probabilities: Floats, weights: Floats, bins: int = ECE_BINS) -> NDArray[np.int64]:
    """Bin numbers of about equal weight, equal scores together; ``metrics.equal_mass_bins`` where weights are equal.

    Args:
        probabilities: ``float64 [N]``.
        weights: ``float64 [N]``, not negative, not all 0.
        bins: how many at most.

    Returns:
        ``int64 [N]``, 0 .. bins - 1.
    """
    _, group = np.unique(probabilities, return_inverse=True)
    mass = np.bincount(group, weights=weights)
    middle = (mass.cumsum() - mass / 2) / mass.sum()
    return np.asarray(np.minimum(bins * middle[group], bins - 1), dtype=np.int64)


def weighted_ece(labels: Labels, probabilities: Floats, weights: Floats, bins: int = ECE_BINS) -> float:
    """``sum_b w_b |mean label in b - mean score in b|`` over bins of equal weight; 0 (calibrated) to 1.

    Args:
        labels: ``int64 [N]``, 0 or 1.
        probabilities: ``float64 [N]``, 0..1.
        weights: ``float64 [N]``, not negative, not all 0.
        bins: at most.
    """
    numbers = weighted_bins(probabilities, weights, bins)
    gaps = np.bincount(numbers, weights=weights * (labels - probabilities), minlength=bins)
    return float(np.abs(gaps).sum() / weights.sum())


def calibration_error(
    labels: Labels, probabilities: Floats, weights: Floats, *, bins: int = ECE_BINS, seed: int = 0
) -> CalibrationError:
    """ECE of weighted scores, and what chance alone gives.

    Chance: a set of images as large as the weighted one is worth (Kish) is drawn from it by weight, and their labels
    from the scores.

    Args:
        labels: ``int64 [N]``, 0 or 1.
        probabilities: ``float64 [N]``, 0..1.
        weights: ``float64 [N]``, not negative, not all 0.
        bins: at most.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    share = weights / weights.sum()
    size = max(1, round(1 / float((share**2).sum())))
    drawn = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        chosen = generator.choice(len(share), size, p=share)
        scores = probabilities[chosen]
        made = (generator.random(size) < scores).astype(np.int64)
        drawn[draw] = weighted_ece(made, scores, np.ones(size), bins)
    return CalibrationError(
        ece=weighted_ece(labels, probabilities, weights, bins),
        if_perfect=float(drawn.mean()),
        if_perfect_95=float(np.quantile(drawn, 0.95)),
        bias=float(np.average(probabilities - labels, weights=weights)),
    )
