"""The calibrated scale on made-up scores whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.statistics.calibrated_scale import choose_thresholds, fit_affine, fit_scale
from pneumoscope.statistics.labelled_scores import LabelledScores, fold_numbers, groups_of, neutral_weights
from pneumoscope.statistics.metrics import equal_mass_bins, expected_calibration_error
from pneumoscope.statistics.reliability import calibration_error, weighted_bins, weighted_ece


def made_up(n: int = 3000, seed: int = 0) -> LabelledScores:
    """Scores whose true log odds at one half is ``logit / 2 + 1`` where framing tells nothing, in two populations."""
    generator = np.random.default_rng(seed)
    adults = np.arange(n) % 5 == 0
    labels = (generator.random(n) < np.where(adults, 0.2, 0.7)).astype(np.int64)
    framing = generator.normal(size=n) + 3 * (labels - 0.5)
    # Two unit normals at +-1 have the log odds 2 x; what the network adds of the framing is nothing.
    evidence = 2 * (generator.normal(size=n) + 2 * (labels - 0.5))
    shortcut = np.where(adults, np.nan, 1 / (1 + np.exp(-3 * framing / 1)))
    return LabelledScores(
        logits=2 * (evidence - 1),
        labels=labels,
        patients=[str(row // 2) for row in range(n)],
        populations=["adults" if adult else "children" for adult in adults],
        shortcut=shortcut,
    )


@pytest.fixture(scope="module")
def scores() -> LabelledScores:
    return made_up()


def test_the_scale_is_that_of_one_half(scores: LabelledScores) -> None:
    scale = fit_scale(scores, source="made up")
    # logit = 2 (evidence - 1), so evidence = logit / 2 + 1.
    assert scale.affine.temperature == pytest.approx(2, rel=0.15)
    assert scale.affine.bias == pytest.approx(1, abs=0.2)
    assert scale.record.prevalence == 0.5
    for name, error in scale.errors.items():
        assert error.ece <= error.if_perfect_95 + 0.02, name


def test_points_differ_and_balanced_is_one_half(scores: LabelledScores) -> None:
    points = fit_scale(scores, source="made up").operating_points
    assert points["balanced"].threshold == 0.5
    assert points["high_sensitivity"].threshold < 0.5 < points["high_specificity"].threshold
    assert points["high_sensitivity"].sensitivity > points["balanced"].sensitivity
    assert points["high_specificity"].specificity > points["balanced"].specificity
    for point in points.values():
        assert point.ci95 is not None
        assert point.ci95["sensitivity"][0] <= point.sensitivity <= point.ci95["sensitivity"][1]
        assert [rates.population for rates in point.populations] == [group.name for group in groups_of(scores)]


def test_the_promise_is_kept_in_every_promised_group(scores: LabelledScores) -> None:
    scale = fit_scale(scores, source="made up")
    assert scale.band is not None
    promised = {group.name for group in groups_of(scores) if group.promised}
    measured = [entry for entry in scale.band.populations if entry.population in promised]
    assert len(measured) == 2 * len(promised)
    for entry in measured:
        assert entry.ci95[1] >= 0.9, entry
    assert scale.band.lower <= 0.5 <= scale.band.upper


def test_weights_are_halves_in_each_population(scores: LabelledScores) -> None:
    weights = neutral_weights(scores)
    assert weights.sum() == pytest.approx(1)
    for name in ("children", "adults"):
        members = scores.members(name)
        assert weights[members & (scores.labels == 1)].sum() == pytest.approx(weights[members].sum() / 2)


def test_folds_keep_patients_together(scores: LabelledScores) -> None:
    number = fold_numbers(scores)
    keys = [f"{p}|{q}" for p, q in zip(scores.populations, scores.patients, strict=True)]
    together: dict[str, set[int]] = {}
    for key, fold in zip(keys, number, strict=True):
        together.setdefault(key, set()).add(int(fold))
    assert all(len(folds) == 1 for folds in together.values())
    assert set(number.tolist()) == set(range(5))


def test_classes_that_are_apart_give_no_certainty() -> None:
    for n in (20, 200):
        labels = np.repeat([0, 1], n)
        affine = fit_affine(np.where(labels == 1, 8.0, -8.0), labels, np.ones(2 * n) / (2 * n))
        assert affine.probability(np.array([8.0]))[0] == pytest.approx((n + 1) / (n + 2), abs=0.002)


def test_where_nothing_is_missed_the_points_differ_still() -> None:
    labels = np.repeat([0, 1], 20)
    thresholds = choose_thresholds(labels, np.where(labels == 1, 0.99, 0.01), np.ones(40))
    assert thresholds == {"balanced": 0.5, "high_sensitivity": 0.25, "high_specificity": 0.75}


def test_refuses_what_cannot_be_fitted(scores: LabelledScores) -> None:
    with pytest.raises(DataError, match="all images are labelled PNEUMONIA"):
        dataclasses.replace(scores, labels=np.ones_like(scores.labels))
    with pytest.raises(DataError, match="not finite"):
        dataclasses.replace(scores, logits=np.full(len(scores.logits), np.nan))
    with pytest.raises(DataError, match="unequal length"):
        dataclasses.replace(scores, labels=scores.labels[1:])
    few = LabelledScores(np.linspace(-1, 1, 8), np.repeat([0, 1], 4), [str(row) for row in range(8)], ["site"] * 8)
    with pytest.raises(DataError, match="4 patients of a class, at least 5"):
        fold_numbers(few)
    scale = fit_scale(few, source="made up")
    assert scale.band is None
    assert "measured on the images that it was fitted on" in scale.record.weighting


def test_weighted_error_is_the_unweighted_one_where_weights_are_equal() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(500).round(2)
    labels = (generator.random(500) < p).astype(np.int64)
    assert (weighted_bins(p, np.ones(500)) == equal_mass_bins(p)).all()
    assert weighted_ece(labels, p, np.ones(500)) == pytest.approx(expected_calibration_error(labels, p))


def test_a_perfect_model_s_error_is_chance_and_a_bad_one_s_is_not() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(300)
    labels = (generator.random(300) < p).astype(np.int64)
    good = calibration_error(labels, p, np.ones(300))
    assert good.ece <= good.if_perfect_95
    assert abs(good.bias) < 0.08
    bad = calibration_error(labels, p**3, np.ones(300))
    assert bad.ece > bad.if_perfect_95
    assert bad.excess > 0.1
