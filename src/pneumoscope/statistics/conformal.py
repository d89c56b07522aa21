"""Class-conditional (Mondrian) split conformal prediction of two classes, and the coverage that it reaches.

Angelopoulos and Bates, Foundations and Trends in Machine Learning 2023, doi 10.1561/2200000101, section 4.2; Vovk,
Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (Mondrian). The score of a label is its probability.
For either class alone, the label stays open unless its probability lies among the least conforming share
``1 - coverage`` of that class's own calibration images; so each class has the promised coverage, whatever its share.
Weights for a known shift enter as in Tibshirani et al., NeurIPS 2019, arXiv 1904.06019, with the mean weight for the
image to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics.intervals import Interval
from pneumoscope.statistics.weighting import effective_size

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

COVERAGE: Final = 0.9
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True)
class Band:
    """Scores at which both labels stay open.

    Attributes:
        lower: PNEUMONIA stays open from this probability on.
        upper: NORMAL stays open up to it; at least ``lower``.
    """

    lower: float
    upper: float

    def open_labels(self, probabilities: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether NORMAL and whether PNEUMONIA stay open: two of ``bool [N]``, at least one true of each pair."""
        return probabilities <= self.upper, probabilities >= self.lower


@dataclass(frozen=True)
class Coverage:
    """How often the sets held the label, among the images of one class.

    Attributes:
        n: images.
        coverage: share whose set held their label, weighted; 0..1.
        ci95: Wilson's interval, on the effective sample size where weighted.
        uncertain: share whose set held both labels, weighted.
    """

    n: int
    coverage: float
    ci95: Interval
    uncertain: float


def least_open(conformity: Floats, coverage: float = COVERAGE, weights: Floats | None = None) -> float:
    """The conformity from which a label stays open, for the promised coverage of one class.

    It is the largest ``t`` for which the images below ``t`` and the one to come hold at most ``1 - coverage`` of the
    weight. Unweighted, that is the ``floor((n + 1)(1 - coverage))``-th smallest; ``-inf`` where there are too few
    images to leave any out.

    Args:
        conformity: ``float64 [n]`` of the true label, higher is more conforming.
        coverage: 0..1.
        weights: ``float64 [n]``, not negative; equal for ``None``.
    """
    if len(conformity) == 0:
        return -np.inf
    weights = np.ones(len(conformity)) if weights is None else weights
    order = np.argsort(conformity, kind="stable")
    mean = weights.sum() / effective_size(weights) if weights.any() else 1.0
    allowed = (1 - coverage) * (weights.sum() + mean)
    # Weight at or below each image, with that of the image to come. Those that may be left out come first.
    below = np.concatenate([[0.0], weights[order].cumsum()[:-1]]) + mean
    inside = int((below <= allowed * (1 + 1e-12)).sum())
    return float(conformity[order][inside - 1]) if inside else -np.inf


def fit_band(
    labels: Labels,
    probabilities: Floats,
    groups: Sequence[tuple[NDArray[np.bool_], Floats | None]] | None = None,
    *,
    coverage: float = COVERAGE,
    threshold: float = DEFAULT_THRESHOLD,
) -> Band:
    """The band that keeps the promise for either class in every group.

    For each class the most lenient group decides, so that none is promised what it does not get. Where the classes are
    so far apart that both could be left out at once, the scores between are those that neither class has often, and
    both labels stay open there; and the band always holds the default threshold, so that no set speaks against its
    label. Both widen the sets, which only adds coverage.

    Args:
        labels: ``int64 [N]``, both classes present in every group.
        probabilities: ``float64 [N]``, 0..1.
        groups: members ``bool [N]`` and weights ``float64 [N]`` (``None`` for equal) of each; all images for ``None``.
        coverage: promised, 0..1.
        threshold: of the default operating point.

    Raises:
        DataError: a class has too few images in a group for the promise (fewer than ``coverage / (1 - coverage)``).
    """
    lower, upper = threshold, threshold
    for members, weights in groups or ((np.ones(len(labels), dtype=bool), None),):
        for label in (0, 1):
            chosen = members & (labels == label)
            conformity = probabilities[chosen] if label else 1 - probabilities[chosen]
            least = least_open(conformity, coverage, None if weights is None else weights[chosen])
            if not np.isfinite(least):
                needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
                raise DataError(
                    f"coverage of {coverage:.0%} cannot be promised from {int(chosen.sum())} images of a class; "
                    f"at least {needed} are needed, and some hundred make the promise a narrow one"
                )
            bound = least if label else 1 - least
            lower, upper = min(lower, bound), max(upper, bound)
    return Band(lower, upper)


def measure_coverage(
    labels: Labels, probabilities: Floats, bands: Band | Sequence[Band], label: int, weights: Floats | None = None
) -> Coverage | None:
    """Coverage among the images of one class; ``None`` without any.

    Args:
        labels: ``int64 [N]``.
        probabilities: ``float64 [N]``.
        bands: one for all, or one for each image (as cross-fitting gives them).
        label: 0 or 1.
        weights: ``float64 [N]``; equal for ``None``.
    """
    chosen = labels == label
    n = int(chosen.sum())
    if n == 0:
        return None
    each = [bands] * len(labels) if isinstance(bands, Band) else bands
    lower, upper = np.array([band.lower for band in each]), np.array([band.upper for band in each])
    normal, pneumonia = probabilities <= upper, probabilities >= lower
    held, both = (pneumonia if label else normal)[chosen], (normal & pneumonia)[chosen]
    shares = np.ones(n) if weights is None else weights[chosen]
    size = effective_size(shares)
    coverage = float(np.average(held, weights=shares))
    return Coverage(n, coverage, wilson_share(coverage, size), float(np.average(both, weights=shares)))


def wilson_share(share: float, size: float) -> Interval:
    """Wilson's 95 % interval of a weighted share, on its effective sample size (need not be whole).

    Wilson, JASA 1927; with an effective size as in Korn and Graubard, Survey Methodology 1998.
    """
    z2 = 1.959963984540054**2
    centre = (share + z2 / (2 * size)) / (1 + z2 / size)
    half = (z2 * (share * (1 - share) / size + z2 / (4 * size**2))) ** 0.5 / (1 + z2 / size)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    # Rounding must not put the estimate outside its own interval.
    return min(low, share), max(high, share)


def images_to_check(coverage: float = COVERAGE, half_width: float = 0.05) -> int:
    """How many labelled images of a class tell its coverage within ``+- half_width`` (95 %).

    Args:
        coverage: that is expected, 0..1.
        half_width: of the interval.
    """
    return int(np.ceil(1.959963984540054**2 * coverage * (1 - coverage) / half_width**2))


def images_to_notice(coverage: float = COVERAGE, fallen_to: float = 0.8, power: float = 0.8) -> int:
    """How many labelled images of a class show that its coverage fell, one-sided at 5 %.

    The usual sample size of a test of one proportion (Fleiss, Levin and Paik, Statistical Methods for Rates and
    Proportions, 2003, section 2.3).

    Args:
        coverage: that is promised.
        fallen_to: that should be noticed, below ``coverage``.
        power: chance to notice it.
    """
    from scipy.stats import norm

    null, other = coverage * (1 - coverage), fallen_to * (1 - fallen_to)
    needed = (norm.ppf(0.95) * null**0.5 + norm.ppf(power) * other**0.5) ** 2 / (coverage - fallen_to) ** 2
    return int(np.ceil(needed))
