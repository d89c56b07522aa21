"""Likelihood ratios and post-test probabilities of a confusion matrix."""

from __future__ import annotations

import json

import pytest

from pneumoscope.statistics.metrics import Counts
from pneumoscope.statistics.prevalence import diagnostic_value


def test_a_worked_example() -> None:
    value = diagnostic_value(Counts(tn=80, fp=20, fn=10, tp=90))
    assert value is not None
    assert value.positive.value == pytest.approx(4.5)
    assert value.negative.value == pytest.approx(0.125)
    by_prevalence = {row.prevalence: row for row in value.rows}
    assert by_prevalence[0.1].above[0] == pytest.approx(1 / 3)
    assert by_prevalence[0.5].above[0] == pytest.approx(90 / 110)  # the precision of this very table
    for row in value.rows:
        for share, (low, high) in (row.above, row.below):
            assert low < share < high


def test_no_false_alarm_is_no_certainty_and_is_json() -> None:
    value = diagnostic_value(Counts(tn=30, fp=0, fn=1, tp=29))
    assert value is not None
    content = value.to_json()
    assert content["positive"]["value"] is None
    low, high = content["positive"]["ci95"]
    assert 5 < low < 30
    assert high is None
    json.dumps(content, allow_nan=False)


def test_one_class_has_no_value() -> None:
    assert diagnostic_value(Counts(tn=0, fp=0, fn=1, tp=29)) is None
