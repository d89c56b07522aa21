"""Selective prediction: accuracy of what is left when the least certain images are set aside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics.odds import logit

COVERAGES: Final = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
_EDGE: Final = 1e-12
"""Certainty tells probabilities apart up to here."""


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Accuracy among the k most certain of n images, k = 1 .. n.

    Attributes:
        coverage: ``float64 [n]``, k / n.
        accuracy: ``float64 [n]``, expected over the order of equally certain images.
        correct: ``float64 [n]``, (expected) number of right decisions among the k.
    """

    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    correct: NDArray[np.float64]

    def at(self, coverage: float) -> tuple[int, float]:
        """``(images kept, accuracy)`` with at least this share kept."""
        kept = max(1, math.ceil(coverage * len(self.coverage) - 1e-9))
        return kept, float(self.accuracy[kept - 1])


def coverage_curve(labels: NDArray[np.int64], probabilities: NDArray[np.float64], threshold: float) -> CoverageCurve:
    """Accuracy against coverage.

    El-Yaniv and Wiener, JMLR 2010 (risk and coverage). Certainty is the distance of the logit from the
    threshold's logit; refused images (NaN) are the first set aside, and errors while kept.

    Args:
        labels: ``int64 [N]``, N >= 1.
        probabilities: ``float64 [N]``, NaN where refused.
        threshold: 0..1.
    """
    refused = np.isnan(probabilities)
    certainty = np.where(refused, -np.inf, np.abs(logit(probabilities, edge=_EDGE) - logit(threshold, edge=_EDGE)))
    right = ~refused & ((probabilities >= threshold) == (labels == 1))
    # Among equals the order is arbitrary, so each takes its group's share of right decisions.
    groups, group = np.unique(-certainty, return_inverse=True)
    share = np.bincount(group, weights=right, minlength=len(groups)) / np.bincount(group, minlength=len(groups))
    correct = share[np.sort(group)].cumsum()
    kept = np.arange(1, len(labels) + 1)
    return CoverageCurve(kept / len(labels), correct / kept, correct)
