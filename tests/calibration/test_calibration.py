"""Scores in, ``calibration.json`` out, and back to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumoscope.calibration.fit import Calibration, fit_calibration, fit_scores
from pneumoscope.calibration.result import Calibrated, read_calibrated, write_calibrated
from pneumoscope.calibration.scores import Scores
from pneumoscope.calibration.typicality import fit_typicality
from pneumoscope.errors import DataError, TrainingError


def scores(n: int = 4000, *, share: float = 0.5, weight: float | None = None) -> Scores:
    random = np.random.default_rng(0)
    positive = random.random(n) < share
    logit = random.normal(np.where(positive, 1.5, -1.5), 1.0)
    weights = None if weight is None else np.where(positive, 1.0, weight)
    keys = [str(row) for row in range(n)]
    return Scores(logit, positive, keys, ["made up"] * n, weights)


def test_weights_move_the_prevalence_that_probabilities_refer_to() -> None:
    rare = scores(40_000, share=0.2)
    balanced = scores(40_000, share=0.2, weight=0.25)
    plain = fit_calibration(rare.logit, rare.positive)
    weighted = fit_calibration(balanced.logit, balanced.positive, balanced.weight)
    assert weighted.bias - plain.bias == pytest.approx(np.log(4), abs=0.15)
    assert weighted.temperature == pytest.approx(1 / 3, abs=0.02)


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    found = scores()
    scale = fit_scores(found)
    calibration = Calibration(scale.affine.temperature, scale.affine.bias)
    cloud = np.random.default_rng(1).normal(size=(200, 24)).astype(np.float32)
    made = Calibrated(
        "ab" * 32,
        calibration,
        scale.operating_points,
        scale.band,
        scale.record,
        fit_typicality(cloud, cloud),
        "made up",
        4000,
    )
    file = tmp_path / "calibration.json"
    write_calibrated(file, made)
    again = read_calibrated(file)
    assert (again.calibration, again.operating_points) == (made.calibration, made.operating_points)
    assert (again.conformal, again.record) == (made.conformal, made.record)
    np.testing.assert_array_equal(again.typicality.typicality(cloud), made.typicality.typicality(cloud))
    assert again.to_json() == made.to_json()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"calibration": {"temperature": 1}}'])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(text)
    with pytest.raises(TrainingError, match=r"calibration\.json: not as calibration wrote it .*; remove it"):
        read_calibrated(file)


def test_scores_that_nothing_can_be_fitted_on_are_refused() -> None:
    with pytest.raises(DataError, match="both classes"):
        Scores(np.zeros(3), np.ones(3, bool), ["a"] * 3, [""] * 3)
    with pytest.raises(DataError, match="not finite"):
        Scores(np.array([0, np.nan]), np.array([True, False]), ["a"] * 2, [""] * 2)
    with pytest.raises(DataError, match="unequal length"):
        Scores(np.zeros(2), np.array([True, False]), ["a"], [""] * 2)
    with pytest.raises(DataError, match="above 0"):
        Scores(np.zeros(2), np.array([True, False]), ["a"] * 2, [""] * 2, weight=np.array([1.0, 0.0]))


def test_probability_of_a_calibration() -> None:
    np.testing.assert_allclose(Calibration(2.0, 0.5).probability(np.array([-1.0])), [0.5])


def test_the_scale_is_that_of_one_half_whatever_the_share() -> None:
    rare = fit_scores(scores(8000, share=0.1))
    assert rare.record.prevalence == 0.5
    assert rare.affine.bias == pytest.approx(0, abs=0.15)
    assert rare.operating_points["balanced"].threshold == 0.5
    assert rare.band is not None
    assert rare.band.lower <= 0.5 <= rare.band.upper


def test_weights_that_come_with_the_scores_are_used() -> None:
    found = scores(2000)
    near = np.abs(found.logit) < 1
    weighted = Scores(found.logit, found.positive, found.patients, found.sources, np.where(near, 50.0, 1.0))
    assert fit_scores(weighted).affine != fit_scores(found).affine
