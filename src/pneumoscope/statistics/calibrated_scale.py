"""From out-of-fold log odds to everything that a score is shown with: a scale, operating points, a band of uncertainty.

The scale is that on which half of the patients have pneumonia and the framing of a picture tells nothing. All three
are fitted on all scores; what they reach is measured by cross-fitting, each fifth of the patients by what the other
four fifths gave, so that no figure comes from the images that chose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.model.operating_point import (
    BALANCED,
    CalibrationRecord,
    ConformalBand,
    OperatingPoint,
    PopulationCoverage,
    PopulationRates,
)
from pneumoscope.statistics.conformal import COVERAGE, Band, fit_band, measure_coverage, wilson_share
from pneumoscope.statistics.labelled_scores import (
    FOLDS,
    LABELS,
    Group,
    LabelledScores,
    fold_numbers,
    groups_of,
    least_images,
    least_patients,
    neutral_weights,
)
from pneumoscope.statistics.odds import logit, sigmoid
from pneumoscope.statistics.operating_points import OperatingPointName
from pneumoscope.statistics.reliability import CalibrationError, calibration_error
from pneumoscope.statistics.weighting import effective_size

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
LEAST_IMAGES: Final = 20
"""Of each class in each population; with fewer, a band of 90 % coverage is decided by one image."""
LEAST_RATE: Final = 0.95
"""Least sensitivity of ``high_sensitivity`` and specificity of ``high_specificity``."""


@dataclass(frozen=True)
class Affine:
    """The map of log odds inside a graph: divided by ``temperature``, then ``bias`` is added."""

    temperature: float
    bias: float

    def probability(self, logits: Floats) -> Floats:
        """Calibrated probability, ``float64 [N]``."""
        return sigmoid(logits / self.temperature + self.bias)


@dataclass(frozen=True, eq=False)
class CalibratedScale:
    """What was fitted, and what it reaches.

    Attributes:
        affine: of the log odds.
        operating_points: by name, with rates by population.
        band: with coverage by population; ``None`` where too few images promise nothing.
        record: for the contract.
        errors: calibration error by group, cross-fitted.
        groups: names, images and effective sizes by group and class: ``(name, normals, pneumonias, size, size)``.
    """

    affine: Affine
    operating_points: Mapping[str, OperatingPoint]
    band: ConformalBand | None
    record: CalibrationRecord
    errors: Mapping[str, CalibrationError]
    groups: tuple[tuple[str, int, int, float, float], ...]


@dataclass(frozen=True, eq=False)
class Fit:
    """What is fitted, before anything is measured.

    Attributes:
        affine: of the log odds.
        thresholds: by operating point.
        band: ``None`` where nothing is promised.
    """

    affine: Affine
    thresholds: Mapping[str, float]
    band: Band | None


def fit_affine(logits: Floats, labels: Labels, weights: Floats) -> Affine:
    """Slope and intercept of the log odds by weighted maximum likelihood, with Platt's targets.

    Platt 1999 (Probabilistic outputs for support vector machines, section 2.2): the targets are ``(n + 1) / (n + 2)``
    for pneumonia and ``1 / (n + 2)`` for normal in place of 1 and 0, ``n`` being the (effective) images of the class.
    So classes that are perfectly apart do not give certainty, least of all where they are few.

    Args:
        logits: ``float64 [N]``.
        labels: ``int64 [N]``.
        weights: ``float64 [N]``; either class has half of them.
    """
    from sklearn.linear_model import LogisticRegression

    sizes = np.array([effective_size(weights[labels == label]) for label in (0, 1)])
    doubt = (1 / (sizes + 2))[labels]
    # A target between 0 and 1 is the image once as either label, in those shares.
    both = np.concatenate([logits, logits])[:, None]
    answers = np.concatenate([labels, 1 - labels])
    shares = np.concatenate([weights * (1 - doubt), weights * doubt])
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(
        both, answers, sample_weight=shares * len(logits) / weights.sum()
    )
    return Affine(1 / max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))


def choose_thresholds(labels: Labels, probabilities: Floats, weights: Floats) -> dict[str, float]:
    """Thresholds of the three operating points on the calibrated scale.

    ``balanced`` is 0.5. ``high_sensitivity`` misses at most half of the pneumonias that ``balanced`` misses, and at
    most one in twenty; ``high_specificity`` likewise for false alarms. So they always differ. Each lies in the middle
    between two scores, on the logit scale. Where ``balanced`` errs on none, they are where one error of the other kind
    weighs as three (Elkan, IJCAI 2001).

    Args:
        labels: ``int64 [N]``, both classes present.
        probabilities: ``float64 [N]``, calibrated.
        weights: ``float64 [N]``.
    """
    ill, well = labels == 1, labels == 0
    lower = _half_the_errors(probabilities[ill], weights[ill])
    upper = 1 - _half_the_errors(1 - probabilities[well], weights[well])
    return {
        OperatingPointName.BALANCED.value: BALANCED,
        OperatingPointName.HIGH_SENSITIVITY.value: lower,
        OperatingPointName.HIGH_SPECIFICITY.value: upper,
    }


def _half_the_errors(scores: Floats, weights: Floats) -> float:
    """The highest threshold below 0.5 that half of the scores below 0.5 exceed, and 95 % of all."""
    errors = float(weights[scores < BALANCED].sum() / weights.sum())
    if errors == 0:
        return 0.25
    order = np.argsort(scores, kind="stable")
    scores, missed = scores[order], weights[order].cumsum() / weights.sum()
    allowed = min(errors / 2, 1 - LEAST_RATE)
    first = int(np.searchsorted(missed, allowed * (1 + 1e-12), side="right"))  # the lowest score that must be found
    above = float(scores[first])
    smaller = scores[scores < above]
    below = float(smaller[-1]) if len(smaller) else above / 2
    middle = (logit(np.array(below)) + logit(np.array(above))) / 2
    return min(float(sigmoid(np.array(middle))), float(np.nextafter(BALANCED, 0)))


def fit_once(scores: LabelledScores, coverage: float | None = COVERAGE) -> Fit:
    """Fit scale, thresholds and band on all of the scores; :func:`fit_scale` measures them too.

    Args:
        scores: out of fold.
        coverage: promised for each class; ``None`` for no band.
    """
    weights = neutral_weights(scores)
    affine = fit_affine(scores.logits, scores.labels, weights)
    probabilities = affine.probability(scores.logits)
    promised = [(group.members, group.weights) for group in groups_of(scores) if group.promised]
    return Fit(
        affine,
        choose_thresholds(scores.labels, probabilities, weights),
        None if coverage is None else fit_band(scores.labels, probabilities, promised, coverage=coverage),
    )


def fit_scale(
    scores: LabelledScores, *, source: str, coverage: float = COVERAGE, folds: int = FOLDS
) -> CalibratedScale:
    """Fit the scale, the operating points and the band, and measure what they reach.

    Where a class has fewer than 20 images in a population there is no band; where it has fewer patients than folds,
    what is fitted is measured on the images that it was fitted on, and the record says so.

    Args:
        scores: out of fold.
        source: what they are, in words, for the contract.
        coverage: promised for each class.
        folds: of the cross-fitting.
    """
    groups = list(groups_of(scores))
    promised = coverage if least_images(scores) >= LEAST_IMAGES else None
    fitted = fit_once(scores, promised)
    crossed = least_patients(scores) >= folds
    number = fold_numbers(scores, folds) if crossed else np.zeros(len(scores.logits), dtype=np.int64)
    by_fold = [fit_once(scores.part(number != fold), promised) for fold in range(folds)] if crossed else [fitted]
    probabilities = np.empty(len(scores.logits))
    for fold, fit in enumerate(by_fold):
        probabilities[number == fold] = fit.affine.probability(scores.logits[number == fold])
    whole = Group("all", np.ones(len(probabilities), dtype=bool), neutral_weights(scores), promised=False)
    points = {}
    for name, threshold in fitted.thresholds.items():
        called = probabilities >= np.array([fit.thresholds[name] for fit in by_fold])[number]
        overall = _rates(scores.labels, called, whole)
        each = tuple(_rates(scores.labels, called, group) for group in groups)
        points[name] = OperatingPoint(threshold, overall.sensitivity, overall.specificity, overall.ci95, each)
    counts = np.bincount(scores.labels, minlength=2)
    return CalibratedScale(
        affine=fitted.affine,
        operating_points=points,
        band=_measured_band(fitted, by_fold, number, scores.labels, probabilities, groups, coverage),
        record=CalibrationRecord(BALANCED, source, int(counts[1]), int(counts[0]), _weighting(groups, crossed)),
        errors={
            group.name: calibration_error(
                scores.labels[group.members],
                probabilities[group.members],
                group.class_balanced(scores.labels)[group.members],
            )
            for group in groups
        },
        groups=tuple(_sizes(scores.labels, group) for group in groups),
    )


def _measured_band(
    fitted: Fit,
    by_fold: Sequence[Fit],
    number: NDArray[np.int64],
    labels: Labels,
    probabilities: Floats,
    groups: Sequence[Group],
    coverage: float,
) -> ConformalBand | None:
    """The band with the coverage of each group, each image by the band of the other patients."""
    bands = [fit.band for fit in by_fold if fit.band is not None]
    if fitted.band is None or not bands:
        return None
    own = [bands[int(fold)] for fold in number]
    found = tuple(entry for group in groups for entry in _coverages(labels, probabilities, own, group))
    return ConformalBand(coverage, fitted.band.lower, fitted.band.upper, found)


def _rates(labels: Labels, called: NDArray[np.bool_], group: Group) -> PopulationRates:
    shares, intervals, counts = [], [], []
    for label in (1, 0):
        chosen = group.members & (labels == label)
        weights = np.ones(int(chosen.sum())) if group.weights is None else group.weights[chosen]
        share = float(np.average(called[chosen] == bool(label), weights=weights))
        shares.append(share)
        intervals.append(wilson_share(share, effective_size(weights)))
        counts.append(int(chosen.sum()))
    ci95 = {"sensitivity": intervals[0], "specificity": intervals[1]}
    return PopulationRates(group.name, counts[0], counts[1], shares[0], shares[1], ci95)


def _coverages(
    labels: Labels, probabilities: Floats, bands: Sequence[Band], group: Group
) -> Iterator[PopulationCoverage]:
    rows = np.flatnonzero(group.members)
    weights = None if group.weights is None else group.weights[rows]
    own = [bands[int(row)] for row in rows]
    for label, name in enumerate(LABELS):
        found = measure_coverage(labels[rows], probabilities[rows], own, label, weights)
        if found is not None:
            yield PopulationCoverage(group.name, name, found.n, found.coverage, found.ci95, found.uncertain)


def _weighting(groups: Sequence[Group], crossed: bool) -> str:
    neutral = any(group.weights is not None for group in groups)
    said = "either class at one half" + (" and framing without meaning" if neutral else "")
    return said if crossed else f"{said}; too few patients: measured on the images that it was fitted on"


def _sizes(labels: Labels, group: Group) -> tuple[str, int, int, float, float]:
    weights = group.members.astype(np.float64) if group.weights is None else group.weights
    chosen = [group.members & (labels == label) for label in (0, 1)]
    counts = [int(each.sum()) for each in chosen]
    sizes = [effective_size(weights[each]) for each in chosen]
    return group.name, counts[0], counts[1], sizes[0], sizes[1]
