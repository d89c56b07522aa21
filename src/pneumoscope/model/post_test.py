"""From a score or a result to the probability of pneumonia at a stated prevalence. Plain arithmetic, no libraries.

Bayes' rule in odds: odds after = odds before x likelihood ratio (Altman and Bland, BMJ 2004;329:168, doi
10.1136/bmj.329.7458.168). A score that is calibrated where half of the patients have the disease is its own likelihood
ratio, p / (1 - p). A result (above or below an operating point) has that of the operating point: sensitivity /
(1 - specificity) above it, (1 - sensitivity) / specificity below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pneumoscope.errors import ContractError, UsageError
from pneumoscope.model.contract import Contract
from pneumoscope.model.operating_point import Interval, OperatingPoint


@dataclass(frozen=True)
class LikelihoodRatio:
    """How much a result changes the odds.

    Attributes:
        value: above 1 it speaks for pneumonia; may be infinite.
        ci95: from the intervals of sensitivity and specificity; ``None`` where these are unknown.
    """

    value: float
    ci95: Interval | None


@dataclass(frozen=True)
class PostTest:
    """What a record means where a stated share of the patients has pneumonia.

    Attributes:
        prevalence: that share, strictly between 0 and 1.
        probability: of pneumonia given this score, 0 to 1.
        threshold: of the operating point on the same scale.
        above: whether the score is at the operating point or above.
        result_probability: share of pneumonia among all pictures on the same side of the operating point.
        result_ci95: its interval, from the uncertainty of sensitivity and specificity; ``None`` where unknown.
        likelihood_ratio: of being on that side.
    """

    prevalence: float
    probability: float
    threshold: float
    above: bool
    result_probability: float
    result_ci95: Interval | None
    likelihood_ratio: LikelihoodRatio

    def as_dict(self) -> dict[str, Any]:
        """The member ``post_test`` of a record; an infinite likelihood ratio is ``null``."""
        return {
            "prevalence": self.prevalence,
            "probability": _kept_side(self.probability, self.threshold),
            "threshold": round(self.threshold, 6),
            "result": {
                "side": "above" if self.above else "below",
                "probability": round(self.result_probability, 6),
                "ci95": None if self.result_ci95 is None else [round(end, 6) for end in self.result_ci95],
                "likelihood_ratio": _finite(self.likelihood_ratio.value),
                "likelihood_ratio_ci95": (
                    None if self.likelihood_ratio.ci95 is None else [_finite(end) for end in self.likelihood_ratio.ci95]
                ),
            },
        }


def check_prevalence(value: float) -> float:
    """A prevalence as it was given.

    Raises:
        UsageError: it is not strictly between 0 and 1; percent are told apart in the message.
    """
    if not 0 < value < 1:
        hint = f"; {value:g} % is written {value / 100:g}" if 1 < value < 100 else ""
        raise UsageError(
            f"prevalence {value:g}: must lie strictly between 0 and 1, the share of patients with pneumonia{hint}"
        )
    return value


def update(prevalence: float, likelihood_ratio: float) -> float:
    """Probability after a finding of this likelihood ratio, by Bayes' rule in odds.

    Args:
        prevalence: before it, strictly between 0 and 1.
        likelihood_ratio: 0 to infinity.
    """
    if math.isinf(likelihood_ratio):
        return 1.0
    odds = prevalence / (1 - prevalence) * likelihood_ratio
    return odds / (1 + odds)


def shift(probability: float, source: float, target: float) -> float:
    """A calibrated probability at another prevalence (Saerens et al. 2002, doi 10.1162/089976602753284446).

    Args:
        probability: 0 to 1, calibrated at ``source``.
        source: prevalence, strictly between 0 and 1.
        target: prevalence, strictly between 0 and 1.
    """
    positive = probability * target / source
    negative = (1 - probability) * (1 - target) / (1 - source)
    return positive / (positive + negative)


def likelihood_ratio(point: OperatingPoint, *, above: bool) -> LikelihoodRatio:
    """The likelihood ratio of a result at an operating point.

    Its interval comes from those of sensitivity and specificity, which are of different images and so independent, by
    the method of variance estimates recovery for ratios (Donner and Zou, Stat Methods Med Res 2012, doi
    10.1177/0962280210383082). It needs no normal approximation of its own, and stays finite at its lower end where no
    false alarm was seen.

    Args:
        point: with its rates.
        above: of a score above it; else below.
    """
    found, kept = point.sensitivity, point.specificity
    top, bottom = (found, 1 - kept) if above else (1 - found, kept)
    ratio = top / bottom if bottom > 0 else math.inf
    if point.ci95 is None:
        return LikelihoodRatio(ratio, None)
    found_ci, kept_ci = point.ci95["sensitivity"], point.ci95["specificity"]
    top_ci, bottom_ci = (found_ci, _turned(kept_ci)) if above else (_turned(found_ci), kept_ci)
    return LikelihoodRatio(ratio, ratio_interval(top, top_ci, bottom, bottom_ci))


def ratio_interval(top: float, top_ci: Interval, bottom: float, bottom_ci: Interval) -> Interval:
    """95 % interval of ``top / bottom`` of two independent estimates, from their own (Donner and Zou 2012).

    Args:
        top: estimate, 0 or above.
        top_ci: its interval.
        bottom: estimate, 0 or above.
        bottom_ci: its interval; an upper end of 0 gives no interval at all, 0 to infinity.
    """
    (l1, u1), (l2, u2) = top_ci, bottom_ci
    both = top * bottom
    if u2 <= 0:
        return 0.0, math.inf
    # The denominators are positive while an estimate lies within its own interval.
    low = both - math.sqrt(max(0.0, both**2 - l1 * u2 * (2 * top - l1) * (2 * bottom - u2)))
    low_scale, high_scale = u2 * (2 * bottom - u2), l2 * (2 * bottom - l2)
    lower = low / low_scale if low_scale != 0 else l1 * (2 * top - l1) / (2 * both) if both else 0.0
    high = both + math.sqrt(max(0.0, both**2 - u1 * l2 * (2 * top - u1) * (2 * bottom - l2)))
    return max(0.0, lower), high / high_scale if high_scale > 0 else math.inf


def post_test(contract: Contract, probability: float, point: OperatingPoint, prevalence: float) -> PostTest:
    """What a score means at a prevalence.

    Args:
        contract: of the model that gave it.
        probability: the score.
        point: the operating point that it is decided by.
        prevalence: share of the patients who have pneumonia, strictly between 0 and 1.

    Raises:
        UsageError: the prevalence is not strictly between 0 and 1.
        ContractError: the model does not say which prevalence its scores refer to.
    """
    check_prevalence(prevalence)
    source = contract.prevalence
    if source is None:
        raise ContractError(
            f"{contract.name} {contract.version}: does not say which prevalence its scores refer to, so they cannot be "
            "turned into another; take a model of contract version 2, or make one with `pneumoscope calibrate`"
        )
    above = probability >= point.threshold
    ratio = likelihood_ratio(point, above=above)
    interval = None if ratio.ci95 is None else (update(prevalence, ratio.ci95[0]), update(prevalence, ratio.ci95[1]))
    return PostTest(
        prevalence=prevalence,
        probability=shift(probability, source, prevalence),
        threshold=shift(point.threshold, source, prevalence),
        above=above,
        result_probability=update(prevalence, ratio.value),
        result_ci95=interval,
        likelihood_ratio=ratio,
    )


def _turned(interval: Interval) -> Interval:
    return 1 - interval[1], 1 - interval[0]


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _kept_side(value: float, threshold: float) -> float:
    """Six decimals, unless they would put a number on the other side of its threshold."""
    rounded = round(value, 6)
    return rounded if (rounded >= round(threshold, 6)) == (value >= threshold) else value
