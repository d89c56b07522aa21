"""Post-test probabilities against textbook values and simulation; what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from pneumoscope.errors import ContractError, UsageError
from pneumoscope.model.contract import CalibrationRecord, Contract, OperatingPoint, Provenance, Quantization
from pneumoscope.model.post_test import (
    check_prevalence,
    likelihood_ratio,
    post_test,
    ratio_interval,
    shift,
    update,
)

POINT = OperatingPoint(0.5, 0.9, 0.8, {"sensitivity": (0.85, 0.94), "specificity": (0.75, 0.84)})
CONTRACT = Contract(
    name="m",
    version="1",
    graph_sha256="0" * 64,
    quantization=Quantization.FLOAT32,
    operating_points={"balanced": POINT},
    default_operating_point="balanced",
    typicality_limit=0.5,
    parameters=1,
    provenance=Provenance("r", 0, "0" * 64, 1),
    calibration=CalibrationRecord(0.5, "out-of-fold scores", 100, 100),
    contract_version=2,
)


def test_likelihood_ratios_are_the_textbook_s() -> None:
    assert likelihood_ratio(POINT, above=True).value == pytest.approx(4.5)
    assert likelihood_ratio(POINT, above=False).value == pytest.approx(0.125)
    # Altman and Bland: prevalence 0.1 and LR 4.5 give odds 0.5.
    assert update(0.1, 4.5) == pytest.approx(1 / 3)
    assert update(0.1, math.inf) == 1.0


def test_a_score_that_is_calibrated_at_one_half_is_its_own_likelihood_ratio() -> None:
    for p in (0.0, 0.2, 0.5, 0.97, 1.0):
        ratio = p / (1 - p) if p < 1 else math.inf
        assert shift(p, 0.5, 0.1) == pytest.approx(update(0.1, ratio))
    assert shift(0.3, 0.5, 0.5) == pytest.approx(0.3)


def test_interval_of_a_ratio_covers_by_simulation() -> None:
    from statsmodels.stats.proportion import proportion_confint

    generator, covered, runs = np.random.default_rng(0), 0, 2000
    found, alarms = 0.9, 0.2
    for a, b in zip(generator.binomial(150, found, runs), generator.binomial(120, alarms, runs), strict=True):
        intervals = [proportion_confint(hits, n, method="wilson") for hits, n in ((a, 150), (b, 120))]
        low, high = ratio_interval(a / 150, intervals[0], b / 120, intervals[1])
        covered += low <= found / alarms <= high
    assert 0.94 <= covered / runs <= 0.965


def test_interval_holds_the_estimate_and_bears_zeros() -> None:
    for top, top_ci in ((0.9, (0.85, 0.94)), (1.0, (0.97, 1.0)), (0.0, (0.0, 0.03))):
        for bottom, bottom_ci in ((0.2, (0.1, 0.3)), (0.01, (0.001, 0.04)), (0.02, (0.0, 0.04)), (0.0, (0.0, 0.03))):
            low, high = ratio_interval(top, top_ci, bottom, bottom_ci)
            assert 0 <= low <= (top / bottom if bottom else math.inf) <= high
    low, high = ratio_interval(0.9, (0.85, 0.94), 0.0, (0.0, 0.03))
    assert low == pytest.approx(29.9, abs=0.2)
    assert math.isinf(high)


def test_post_test_says_both_what_the_score_and_what_the_result_means() -> None:
    meaning = post_test(CONTRACT, 0.8, POINT, 0.1)
    assert meaning.probability == pytest.approx(0.8 * 0.1 / (0.8 * 0.1 + 0.2 * 0.9))
    assert meaning.threshold == pytest.approx(0.1)
    assert meaning.result_probability == pytest.approx(1 / 3)
    assert meaning.result_ci95 is not None
    assert meaning.result_ci95[0] < 1 / 3 < meaning.result_ci95[1]
    below = post_test(CONTRACT, 0.2, POINT, 0.1)
    assert below.result_probability == pytest.approx(update(0.1, 0.125))
    assert not below.above


@pytest.mark.parametrize("probability", [0.4999999, 0.5, 0.5000001, 0.0, 1.0])
@pytest.mark.parametrize("prevalence", [1e-6, 0.1, 0.5, 0.999])
def test_number_and_threshold_stay_on_their_sides(probability: float, prevalence: float) -> None:
    record = post_test(CONTRACT, probability, POINT, prevalence).as_dict()
    assert (record["probability"] >= record["threshold"]) == (probability >= 0.5)
    assert record["result"]["side"] == ("above" if probability >= 0.5 else "below")


def test_a_point_without_intervals_gives_none() -> None:
    point = OperatingPoint(0.5, 1.0, 1.0)
    record = post_test(CONTRACT, 0.9, point, 0.1).as_dict()
    assert record["result"]["ci95"] is None
    assert record["result"]["likelihood_ratio"] is None  # infinite
    assert record["result"]["probability"] == 1.0


@pytest.mark.parametrize(("value", "said"), [(0.0, "strictly"), (1.0, "strictly"), (7.0, "7 % is written 0.07")])
def test_refuses_what_is_no_prevalence(value: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_prevalence(value)


def test_a_model_that_does_not_say_what_it_refers_to_cannot_be_shifted() -> None:
    old = dataclasses.replace(CONTRACT, calibration=None, contract_version=1)
    with pytest.raises(ContractError, match="pneumoscope calibrate"):
        post_test(old, 0.8, POINT, 0.1)
