"""What a measured sensitivity and specificity mean: likelihood ratios, and post-test probabilities by prevalence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pneumoscope.model.operating_point import OperatingPoint
from pneumoscope.model.post_test import LikelihoodRatio, likelihood_ratio, update
from pneumoscope.statistics.intervals import Interval, wilson
from pneumoscope.statistics.metrics import Counts

PREVALENCES: Final = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class PostTestRow:
    """Share of pneumonia after the test, at one prevalence.

    Attributes:
        prevalence: before it.
        above: share among pictures above the operating point (the precision there), and its 95 % interval.
        below: share among pictures below it (one less the negative predictive value), and its interval.
    """

    prevalence: float
    above: tuple[float, Interval]
    below: tuple[float, Interval]

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "prevalence": self.prevalence,
            "above": {"probability": self.above[0], "ci95": list(self.above[1])},
            "below": {"probability": self.below[0], "ci95": list(self.below[1])},
        }


@dataclass(frozen=True)
class DiagnosticValue:
    """What the test is worth at its operating point.

    Attributes:
        positive: likelihood ratio of a score above the operating point.
        negative: of one below.
        rows: post-test probabilities, by prevalence.
    """

    positive: LikelihoodRatio
    negative: LikelihoodRatio
    rows: tuple[PostTestRow, ...]

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``; infinite values are ``null``."""
        return {
            "positive": _ratio_json(self.positive),
            "negative": _ratio_json(self.negative),
            "post_test": [row.to_json() for row in self.rows],
        }


def diagnostic_value(counts: Counts, prevalences: Sequence[float] = PREVALENCES) -> DiagnosticValue | None:
    """Likelihood ratios and post-test probabilities of a confusion matrix; ``None`` where a class is missing.

    Intervals come from Wilson's of sensitivity and specificity, by Donner and Zou's method for ratios (see
    :func:`pneumoscope.model.post_test.likelihood_ratio`).

    Args:
        counts: refusals as errors.
        prevalences: strictly between 0 and 1.
    """
    found, kept = (counts.tp, counts.tp + counts.fn), (counts.tn, counts.tn + counts.fp)
    intervals = wilson(*found), wilson(*kept)
    if intervals[0] is None or intervals[1] is None:
        return None
    point = OperatingPoint(
        0.5, found[0] / found[1], kept[0] / kept[1], {"sensitivity": intervals[0], "specificity": intervals[1]}
    )
    positive, negative = likelihood_ratio(point, above=True), likelihood_ratio(point, above=False)
    rows = tuple(PostTestRow(p, _updated(p, positive), _updated(p, negative)) for p in prevalences)
    return DiagnosticValue(positive, negative, rows)


def _updated(prevalence: float, ratio: LikelihoodRatio) -> tuple[float, Interval]:
    assert ratio.ci95 is not None  # made with intervals above
    low, high = (update(prevalence, end) for end in ratio.ci95)
    return update(prevalence, ratio.value), (low, high)


def _ratio_json(ratio: LikelihoodRatio) -> dict[str, Any]:
    finite = [None if end == float("inf") else end for end in (ratio.value, *(ratio.ci95 or ()))]
    return {"value": finite[0], "ci95": finite[1:] or None}
