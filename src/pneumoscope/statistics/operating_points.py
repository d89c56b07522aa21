"""Thresholds chosen from validation scores, and what a threshold reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError

HIGH_SENSITIVITY: Final = 0.99
HIGH_SPECIFICITY: Final = 0.97
PLATEAU_TOLERANCE: Final = 0.005
_EDGE: Final = 1e-6  # thresholds stay this far from 0 and 1, whose logit is infinite


class OperatingPointName(StrEnum):
    """The operating points that every model carries."""

    BALANCED = "balanced"
    """Sensitivity + specificity at its largest."""

    HIGH_SENSITIVITY = "high_sensitivity"
    """The highest threshold with at least 99 % sensitivity."""

    HIGH_SPECIFICITY = "high_specificity"
    """The lowest threshold with at least 97 % specificity."""


@dataclass(frozen=True)
class ChosenPoint:
    """A threshold and what it reached on the scores it was chosen from.

    Attributes:
        threshold: pneumonia from this probability on, 0..1.
        sensitivity: 0..1.
        specificity: 0..1.
    """

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Every distinct way to cut the scores: cut k calls the k highest distinct scores pneumonia.

    ``low[k]`` and ``high[k]`` bound the thresholds (low, high] that make cut k.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> _Sweep:
        scores, group = np.unique(probabilities, return_inverse=True)
        positives = np.bincount(group, weights=labels == 1, minlength=len(scores))[::-1].cumsum()
        negatives = np.bincount(group, weights=labels == 0, minlength=len(scores))[::-1].cumsum()
        if positives[-1] == 0 or negatives[-1] == 0:
            raise DataError("thresholds cannot be chosen: the validation images are all of one class")
        descending = scores[::-1]
        # A score of exactly 1 is called at every threshold in 0..1, so the cut that calls none is out of reach.
        reachable = slice(int(descending[0] >= 1), None)
        return cls(
            low=np.append(descending, -1.0)[reachable],
            high=np.append(1.0, descending)[reachable],
            sensitivity=(np.append(0.0, positives) / positives[-1])[reachable],
            specificity=(1 - np.append(0.0, negatives) / negatives[-1])[reachable],
        )

    def point(self, first: int, last: int) -> ChosenPoint:
        """The threshold about midway, on the logit scale, through the cuts ``first .. last``.

        It is the middle of the widest gap between scores in the middle half of that stretch: a threshold right beside
        a score would have the image decided by rounding, in one form of a model so and in another otherwise.
        """
        low, high = float(self.low[last]), float(self.high[first])
        begin, end = _logit(low), _logit(high)
        lows = np.array([_logit(edge) for edge in self.low[first : last + 1]])
        highs = np.array([_logit(edge) for edge in self.high[first : last + 1]])
        lows = np.maximum(lows, begin + (end - begin) / 4)
        highs = np.minimum(highs, end - (end - begin) / 4)
        widest = int(np.argmax(highs - lows))
        threshold = _sigmoid((lows[widest] + highs[widest]) / 2)
        if not low < threshold <= high:  # scores closer to 0 or 1 than the logit is cut at
            threshold = high
        cut = int(np.flatnonzero((self.low < threshold) & (threshold <= self.high))[0])
        return ChosenPoint(threshold, float(self.sensitivity[cut]), float(self.specificity[cut]))


def choose_operating_points(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    high_sensitivity: float = HIGH_SENSITIVITY,
    high_specificity: float = HIGH_SPECIFICITY,
) -> dict[OperatingPointName, ChosenPoint]:
    """Choose the three operating points from validation scores.

    ``balanced`` maximises Youden's J = sensitivity + specificity - 1 (Youden, Cancer 1950). J is a jagged
    function of the threshold and its peak follows single images, so the threshold is about the logit midpoint of the
    stretch around the peak on which J stays within 0.005 of it: where the nearest images are farthest. The other two
    are the midpoint between the last image inside the wanted rate and the first outside; where ``balanced`` is beyond
    the wanted rate already, they are ``balanced``, so that their names stay true.

    Args:
        labels: ``int64 [N]``, both classes present.
        probabilities: ``float64 [N]``, 0..1, none missing.
        high_sensitivity: wanted sensitivity of ``high_sensitivity``, 0..1.
        high_specificity: wanted specificity of ``high_specificity``, 0..1.

    Raises:
        DataError: one class only, or a probability is missing.
    """
    if not np.isfinite(probabilities).all():
        raise DataError("thresholds cannot be chosen: a validation score is not finite")
    sweep = _Sweep.of(labels, probabilities)
    sensitive = int(np.argmax(sweep.sensitivity >= high_sensitivity))
    # Only where normals score exactly 1 is there no such cut; the most specific one is the nearest then.
    specific = int(np.flatnonzero(sweep.specificity >= high_specificity)[-1:].max(initial=0))
    balanced = sweep.point(*_plateau(sweep.sensitivity + sweep.specificity))
    return {
        OperatingPointName.BALANCED: balanced,
        OperatingPointName.HIGH_SENSITIVITY: min(sweep.point(sensitive, sensitive), balanced, key=_threshold),
        OperatingPointName.HIGH_SPECIFICITY: max(sweep.point(specific, specific), balanced, key=_threshold),
    }


def _threshold(point: ChosenPoint) -> float:
    return point.threshold


def _plateau(values: NDArray[np.float64]) -> tuple[int, int]:
    """First and last index of the contiguous stretch around the maximum within the tolerance."""
    peak = int(values.argmax())
    outside = np.flatnonzero(values < values[peak] - PLATEAU_TOLERANCE)
    before, after = outside[outside < peak], outside[outside > peak]
    return int(before[-1]) + 1 if len(before) else 0, int(after[0]) - 1 if len(after) else len(values) - 1


def at_sensitivity(labels: NDArray[np.int64], probabilities: NDArray[np.float64], sensitivity: float) -> ChosenPoint:
    """The specificity that is left at a wanted sensitivity, the threshold chosen on these very images.

    So it describes the ranking and is optimistic as a promise; an operating point from validation is not.

    Args:
        labels: ``int64 [N]``, both classes present.
        probabilities: ``float64 [N]``, none missing.
        sensitivity: at least this, 0..1.

    Raises:
        DataError: one class only.
    """
    sweep = _Sweep.of(labels, probabilities)
    cut = int(np.argmax(sweep.sensitivity >= sensitivity - 1e-9))
    return ChosenPoint(float(sweep.high[cut]), float(sweep.sensitivity[cut]), float(sweep.specificity[cut]))


def _logit(p: float) -> float:
    p = min(max(float(p), _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
