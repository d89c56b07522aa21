"""Decision curves: is acting on the model better than treating all or none?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

THRESHOLDS: Final = tuple(percent / 100 for percent in range(1, 100))


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per image at each threshold probability.

    Attributes:
        thresholds: strictly between 0 and 1.
        model: net benefit of treating whom the model calls, at most the prevalence.
        treat_all: net benefit of treating everyone; treating no one has 0.
    """

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    treat_all: tuple[float, ...]


def decision_curve(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], thresholds: tuple[float, ...] = THRESHOLDS
) -> DecisionCurve:
    """Net benefit ``tp / n - fp / n * t / (1 - t)`` over the threshold probability t.

    Vickers and Elkin, Medical Decision Making 2006, doi 10.1177/0272989X06295361. It reads the probabilities
    as such and at the prevalence of these images; both must fit for it to say anything.

    Args:
        labels: ``int64 [N]`` of the judged images, N >= 1.
        probabilities: ``float64 [N]``, 0..1, none missing.
        thresholds: strictly between 0 and 1.
    """
    t = np.asarray(thresholds)
    odds = t / (1 - t)
    called = probabilities[None, :] >= t[:, None]
    tp = (called & (labels == 1)).mean(axis=1)
    fp = (called & (labels == 0)).mean(axis=1)
    prevalence = float((labels == 1).mean())
    treat_all = prevalence - (1 - prevalence) * odds
    return DecisionCurve(thresholds, tuple((tp - fp * odds).tolist()), tuple(treat_all.tolist()))
