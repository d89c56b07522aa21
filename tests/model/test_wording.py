"""The words are whole, and no number is shown on the wrong side or as certain."""

from __future__ import annotations

import dataclasses
import string

import pytest

from pneumoscope.model import wording
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import ModelInfo, Prediction, Status

JUDGED = Prediction(
    path="x.png",
    sha256="0" * 64,
    status=Status.OK,
    threshold=0.837,
    operating_point="balanced",
    model=ModelInfo("m", "1", "0" * 64),
    label="NORMAL",
    probability=0.604,
)


def test_the_notice_is_that_of_the_contract() -> None:
    assert wording.words()["research_use_only"] == RESEARCH_USE_ONLY


def test_the_demo_s_adult_is_told_without_contradiction() -> None:
    assert wording.result(JUDGED) == "below the operating point balanced"
    assert wording.score_line(JUDGED) == "score 0.604; operating point balanced at 0.837"
    for text in (wording.result(JUDGED), wording.score_line(JUDGED)):
        assert "normal" not in text.lower()


def test_uncertain_is_said_first() -> None:
    both = dataclasses.replace(JUDGED, prediction_set=("NORMAL", "PNEUMONIA"))
    assert wording.result(both) == "uncertain (below the operating point balanced)"
    assert wording.result(both, short=True) == "uncertain (below balanced)"
    assert wording.result(dataclasses.replace(JUDGED, prediction_set=("NORMAL",))) == wording.result(JUDGED)


def test_what_was_not_judged_is_no_result() -> None:
    refused = dataclasses.replace(JUDGED, status=Status.REFUSED, label=None, probability=None)
    assert wording.result(refused) == "Not judged: refused"
    assert wording.result(dataclasses.replace(refused, status=Status.ERROR), short=True) == "unreadable"


@pytest.mark.parametrize(
    ("value", "threshold", "shown"),
    [
        (0.4999, 0.5, "0.4999"),
        (0.5, 0.5, "0.500"),
        (0.49999999, 0.5, "0.49999999"),
        (0.9996, None, "0.9996"),
        (0.99999999, None, "> 0.999999"),
        (1.0, None, "> 0.999999"),
        (0.0, 0.5, "< 0.000001"),
        (1.75e-10, 0.5, "< 0.000001"),
        (1e-8, 2e-8, "1e-08"),
        (0.0004, 0.5, "0.0004"),
    ],
)
def test_a_score_stays_on_its_side_and_off_the_ends(value: float, threshold: float | None, shown: str) -> None:
    assert wording.score(value, threshold) == shown


def test_no_share_is_rounded_to_all_or_nothing() -> None:
    shown = [wording.share(value) for value in (0.996, 0.9996, 1.0, 0.0004, 0.0, 0.5)]
    assert shown == ["99.6 %", "> 99.9 %", "100.0 %", "< 0.1 %", "0.0 %", "50.0 %"]


def test_a_probability_is_never_certain() -> None:
    assert [wording.chance(value) for value in (0.0, 1.0, 0.25)] == ["< 0.1 %", "> 99.9 %", "25.0 %"]


def test_no_green() -> None:
    for colours in wording.words()["colours"].values():
        for name, value in colours.items():
            red, green, blue = (int(value[k : k + 2], 16) for k in (1, 3, 5))
            assert green <= max(red, blue), name


def test_templates_name_known_fields_only() -> None:
    known = {"name", "status", "score", "threshold", "prevalence", "probability", "side", "low", "high", "coverage"}
    known |= {"lower", "upper", "sensitivity", "specificity"}
    for text in wording.words().values():
        if isinstance(text, str):
            assert {field for _, field, _, _ in string.Formatter().parse(text) if field is not None} <= known
