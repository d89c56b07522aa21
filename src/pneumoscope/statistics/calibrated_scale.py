"""From out-of-fold log odds to everything that a score is shown with: a scale, operating points, a band of uncertainty.

The scale is that on which half of the patients have pneumonia and the framing of a picture tells nothing. All three
are fitted on all scores; what they reach is measured by cross-fitting, each fifth of the patients by what the other
four fifths gave, so that no figure comes from the images that chose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    neutral_weights,
)
from pneumoscope.statistics.odds import logit, sigmoid
from pneumoscope.statistics.operating_points import OperatingPointName
from pneumoscope.statistics.reliability import CalibrationError, calibration_error
from pneumoscope.statistics.weighting import effective_size

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
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
        band: with coverage by population.
        record: for the contract.
        errors: calibration error by group, cross-fitted.
        groups: names, images and effective sizes by group and class: ``(name, normals, pneumonias, size, size)``.
    """

    affine: Affine
    operating_points: Mapping[str, OperatingPoint]
    band: ConformalBand
    record: CalibrationRecord
    errors: Mapping[str, CalibrationError]
    groups: tuple[tuple[str, int, int, float, float], ...]


@dataclass(frozen=True, eq=False)
class _Fit:
    affine: Affine
    thresholds: Mapping[str, float]
    band: Band


def fit_affine(logits: Floats, labels: Labels, weights: Floats) -> Affine:
    """Slope and intercept of the log odds by weighted maximum likelihood (Platt 1999).

    Args:
        logits: ``float64 [N]``.
        labels: ``int64 [N]``.
        weights: ``float64 [N]``; either class has half of them.
    """
    from sklearn.linear_model import LogisticRegression

    # Almost no regularisation: it only keeps the slope finite where the classes are perfectly apart.
    weights = weights * len(weights) / weights.sum()
    fitted = LogisticRegression(C=1e4).fit(logits[:, None], labels, sample_weight=weights)
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


def _fit(scores: LabelledScores, coverage: float) -> _Fit:
    weights = neutral_weights(scores)
    affine = fit_affine(scores.logits, scores.labels, weights)
    probabilities = affine.probability(scores.logits)
    promised = [(group.members, group.weights) for group in groups_of(scores) if group.promised]
    return _Fit(
        affine,
        choose_thresholds(scores.labels, probabilities, weights),
        fit_band(scores.labels, probabilities, promised, coverage=coverage),
    )


def fit_scale(
    scores: LabelledScores,
    *,
    source: str,
    coverage: float = COVERAGE,
    folds: int = FOLDS,
    progress: Callable[[str], None] = lambda _: None,
) -> CalibratedScale:
    """Fit the scale, the operating points and the band, and measure what they reach.

    Args:
        scores: out of fold.
        source: what they are, in words, for the contract.
        coverage: promised for each class.
        folds: of the cross-fitting.
        progress: told of each step.

    Raises:
        DataError: too few images of a class.
    """
    fitted = _fit(scores, coverage)
    progress(f"scale: temperature {fitted.affine.temperature:.3f}, bias {fitted.affine.bias:+.3f}")
    number = fold_numbers(scores, folds)
    by_fold = [_fit(scores.part(number != fold), coverage) for fold in range(folds)]
    crossed = np.empty(len(scores.logits))
    for fold, fit in enumerate(by_fold):
        crossed[number == fold] = fit.affine.probability(scores.logits[number == fold])
    bands = [by_fold[fold].band for fold in number]
    groups = list(groups_of(scores))
    progress(f"measured on {len(groups)} groups of images, each image by what the other patients gave")
    whole = Group("all", np.ones(len(crossed), dtype=bool), neutral_weights(scores), promised=False)
    points = {
        name: _operating_point(scores.labels, crossed, number, [fit.thresholds[name] for fit in by_fold], whole, groups)
        for name in fitted.thresholds
    }
    return CalibratedScale(
        affine=fitted.affine,
        operating_points={
            name: OperatingPoint(fitted.thresholds[name], all_.sensitivity, all_.specificity, all_.ci95, each)
            for name, (all_, each) in points.items()
        },
        band=ConformalBand(
            coverage,
            fitted.band.lower,
            fitted.band.upper,
            tuple(entry for group in groups for entry in _coverages(scores.labels, crossed, bands, group)),
        ),
        record=CalibrationRecord(
            BALANCED,
            source,
            int(scores.labels.sum()),
            int((1 - scores.labels).sum()),
            _weighting(groups),
        ),
        errors={
            group.name: calibration_error(
                scores.labels[group.members],
                crossed[group.members],
                group.class_balanced(scores.labels)[group.members],
            )
            for group in groups
        },
        groups=tuple(_sizes(scores.labels, group) for group in groups),
    )


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


def _operating_point(
    labels: Labels,
    probabilities: Floats,
    number: NDArray[np.int64],
    thresholds: Sequence[float],
    whole: Group,
    groups: Sequence[Group],
) -> tuple[PopulationRates, tuple[PopulationRates, ...]]:
    called = probabilities >= np.asarray(thresholds)[number]
    return _rates(labels, called, whole), tuple(_rates(labels, called, group) for group in groups)


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


def _weighting(groups: Sequence[Group]) -> str:
    neutral = any(group.weights is not None for group in groups)
    return "either class at one half" + (" and framing without meaning" if neutral else "")


def _sizes(labels: Labels, group: Group) -> tuple[str, int, int, float, float]:
    weights = group.members.astype(np.float64) if group.weights is None else group.weights
    chosen = [group.members & (labels == label) for label in (0, 1)]
    counts = [int(each.sum()) for each in chosen]
    sizes = [effective_size(weights[each]) for each in chosen]
    return group.name, counts[0], counts[1], sizes[0], sizes[1]
