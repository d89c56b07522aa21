"""Thresholds, what they reached, and the band of scores in which a model does not know: plain values of a contract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pneumoscope.errors import ContractError

Interval = tuple[float, float]

BALANCED: Final = 0.5
"""Threshold of the default operating point on the scale on which half of the patients have pneumonia."""

NEEDED_RATES: Final = frozenset({"sensitivity", "specificity"})


def check_share(value: object, what: str) -> None:
    """Refuse what is no number from 0 to 1.

    Raises:
        ContractError: naming ``what``.
    """
    if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= 1):
        raise ContractError(f"{what} is {value!r}, must be 0 to 1")


def as_interval(value: Any, what: str) -> Interval:
    """A pair ``(low, high)`` of shares.

    Raises:
        ContractError: it is none; the message names ``what``.
    """
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        raise ContractError(f"{what} is {value!r}, must be two numbers")
    low, high = value
    check_share(low, what)
    check_share(high, what)
    if low > high:
        raise ContractError(f"{what} is {value!r}, must not fall")
    return float(low), float(high)


@dataclass(frozen=True)
class PopulationRates:
    """What a threshold reached on one population.

    Attributes:
        population: in words, such as "adults, patients held out".
        pneumonias: images of that class.
        normals: likewise.
        sensitivity: share of pneumonias found, 0 to 1.
        specificity: share of normals left alone, 0 to 1.
        ci95: 95 % intervals of ``sensitivity`` and ``specificity``.
    """

    population: str
    pneumonias: int
    normals: int
    sensitivity: float
    specificity: float
    ci95: Mapping[str, Interval]

    def __post_init__(self) -> None:
        """Refuse what is not a share."""
        _check_rates(self.sensitivity, self.specificity, self.ci95)


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on P(pneumonia) and what it reached on the data it was chosen on.

    Attributes:
        threshold: PNEUMONIA from this probability on, 0 to 1.
        sensitivity: share of pneumonias found on validation, 0 to 1.
        specificity: share of normals left alone on validation, 0 to 1.
        ci95: 95 % intervals of ``sensitivity`` and ``specificity``; ``None`` in models of contract version 1.
        populations: the same figures by population; empty in models of contract version 1.
    """

    threshold: float
    sensitivity: float
    specificity: float
    ci95: Mapping[str, Interval] | None = None
    populations: tuple[PopulationRates, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is not a share."""
        check_share(self.threshold, "operating point: threshold")
        _check_rates(self.sensitivity, self.specificity, self.ci95)


@dataclass(frozen=True)
class PopulationCoverage:
    """How often the prediction sets held the true label, in one population, on images that did not choose the band.

    Attributes:
        population: in words.
        label: the true class.
        n: images.
        coverage: share whose set held the label, 0 to 1.
        ci95: 95 % interval of ``coverage``.
        uncertain: share whose set held both labels, 0 to 1.
    """

    population: str
    label: str
    n: int
    coverage: float
    ci95: Interval
    uncertain: float

    def __post_init__(self) -> None:
        """Refuse what is not a share."""
        check_share(self.coverage, f"coverage of {self.population}")
        check_share(self.uncertain, f"uncertain share of {self.population}")


@dataclass(frozen=True)
class ConformalBand:
    """The scores at which both labels stay open.

    Class-conditional split conformal prediction (Angelopoulos and Bates 2023, doi 10.1561/2200000101, section 4.2;
    Vovk's Mondrian prediction by class): each class's own scores say which scores leave it open, so the promise holds
    for either class, whatever the prevalence. The band is widened to hold the default threshold, so that a set of one
    label is never the label that the score speaks against; widening only adds coverage.

    Attributes:
        coverage: promised share of the images of each class whose set holds their label, 0 to 1.
        lower: PNEUMONIA stays open from this probability on.
        upper: NORMAL stays open up to this probability; at least ``lower``.
        populations: what was measured, by population and class.
    """

    coverage: float
    lower: float
    upper: float
    populations: tuple[PopulationCoverage, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an impossible band."""
        check_share(self.coverage, "conformal: coverage")
        as_interval((self.lower, self.upper), "conformal: band")

    def labels(self, probability: float, labels: tuple[str, ...], given: str) -> tuple[str, ...]:
        """The prediction set of a score.

        Args:
            probability: 0 to 1.
            labels: the contract's two, the negative one first.
            given: the label at the operating point asked for. It is always in the set: one that is far from the
                default may call a score that the band alone would leave to the other class, and then both stay open.
        """
        negative, positive = labels
        opened = {
            negative: probability <= self.upper,
            positive: probability >= self.lower,
        }
        return tuple(label for label in labels if opened[label] or label == given)


@dataclass(frozen=True)
class CalibrationRecord:
    """How the log odds inside the graph were calibrated.

    Attributes:
        prevalence: share of pneumonia that the probability refers to, strictly between 0 and 1.
        source: the scores that it was fitted on, in words.
        pneumonias: images of that class.
        normals: likewise.
        weighting: how images were weighted, in words.
    """

    prevalence: float
    source: str
    pneumonias: int
    normals: int
    weighting: str = ""

    def __post_init__(self) -> None:
        """Refuse a prevalence at which nothing is left to tell."""
        check_share(self.prevalence, "calibration: prevalence")
        if not 0 < self.prevalence < 1:
            raise ContractError(f"calibration: prevalence is {self.prevalence!r}, must be strictly between 0 and 1")


def _check_rates(sensitivity: float, specificity: float, ci95: Mapping[str, Interval] | None) -> None:
    check_share(sensitivity, "operating point: sensitivity")
    check_share(specificity, "operating point: specificity")
    if ci95 is not None:
        if set(ci95) != NEEDED_RATES:
            raise ContractError(f"operating point: intervals of {', '.join(sorted(ci95))}, needed are both rates'")
        for name, interval in ci95.items():
            as_interval(interval, f"operating point: interval of {name}")
