"""The words in which an answer is shown, the same for table, page, Gradio, report, demo and the guides of devices.

They stand in ``wording.json`` beside this module, which other languages read too. A result is *above* or *below* a
named operating point; no word and no colour says that a patient is healthy or ill.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pneumoscope.model.contract import Contract
    from pneumoscope.model.post_test import PostTest
    from pneumoscope.model.prediction import Prediction

SCORED_EVENT: Final = "scored"
"""Name of the event in a server's log that holds a record, for `pneumoscope monitor`; it passes over all others."""

_MOST_DECIMALS: Final = 6
_LONGEST_KIND: Final = 100
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")


@functools.cache
def words() -> Mapping[str, Any]:
    """Everything in ``wording.json``; templates hold their fields in braces."""
    content: Mapping[str, Any] = json.loads((resources.files("pneumoscope.model") / "wording.json").read_text("utf-8"))
    return content


def say(key: str, **fields: object) -> str:
    """A template of ``wording.json`` with its fields filled in."""
    return str(words()[key]).format(**fields)


def share(value: float) -> str:
    """A share in percent with one decimal. Nothing is rounded to all or nothing: 0.9996 is "> 99.9 %"."""
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    return f"{100 * value:.1f} %"


def chance(value: float) -> str:
    """A probability in percent: as :func:`share`, and never certain, since 0 and 1 are only what numbers round to."""
    return share(min(max(value, 1e-9), 1 - 1e-9))


def score(value: float, threshold: float | None = None) -> str:
    """A score with three decimals, or as many as keep it on its side of a threshold and off 0 and 1.

    Args:
        value: 0 to 1.
        threshold: that it is shown beside; ``None`` for none.
    """
    end = 10**-_MOST_DECIMALS
    for decimals in range(3, _MOST_DECIMALS + 1):
        text = f"{value:.{decimals}f}"
        shown = float(text)
        same_side = threshold is None or (shown >= threshold) == (value >= threshold)
        if same_side and 0 < shown < 1:
            return text
    if value < end and (threshold is None or threshold >= end):
        return f"< {end:.{_MOST_DECIMALS}f}"
    if value > 1 - end and (threshold is None or threshold <= 1 - end):
        return f"> {1 - end:.{_MOST_DECIMALS}f}"
    return repr(value)


def is_uncertain(prediction: Prediction) -> bool:
    """Whether both labels stay open."""
    return prediction.prediction_set is not None and len(prediction.prediction_set) > 1


def result(prediction: Prediction, *, short: bool = False) -> str:
    """The result of a record: above or below its operating point, or why there is none.

    An uncertain one says so first: "uncertain (above balanced)".

    Args:
        prediction: the record.
        short: for a table.
    """
    if prediction.probability is None:
        status = words()[prediction.status.value]
        return str(status) if short else say("not_judged", status=status)
    side = "above" if prediction.probability >= prediction.threshold else "below"
    text = say(f"{side}_short" if short else side, name=prediction.operating_point)
    return f"{words()['uncertain_short']} ({text})" if is_uncertain(prediction) else text


def score_line(prediction: Prediction) -> str:
    """Score and operating point of a judged record: "score 0.604; operating point balanced at 0.500"."""
    assert prediction.probability is not None
    at = say("operating_point_at", name=prediction.operating_point, threshold=score(prediction.threshold))
    return f"{say('score', score=score(prediction.probability, prediction.threshold))}; {at}"


def post_test(meaning: PostTest) -> tuple[str, ...]:
    """What a score and what its result mean at the prevalence that was asked for, a line each."""
    first = say(
        "post_test_score",
        prevalence=share(meaning.prevalence),
        probability=chance(meaning.probability),
        threshold=share(meaning.threshold),
    )
    if meaning.result_ci95 is None:
        return (first,)
    low, high = meaning.result_ci95
    side = "above" if meaning.above else "below"
    numbers = {"probability": chance(meaning.result_probability), "low": chance(low), "high": chance(high)}
    return first, say("post_test_result", side=side, **numbers)


def meaning_of_score(contract: Contract) -> str:
    """What the score of a model is the probability of."""
    return str(words()["score_at_half" if contract.prevalence is not None else "score_at_validation"])


def kind_of(sentence: str, path: str = "") -> str:
    """What kind of note or reason a sentence is: without the input's name and without numbers, at most 100 letters.

    Args:
        sentence: of a record's ``notes`` or ``reasons``.
        path: of the record.
    """
    told = sentence.removeprefix(f"{path}: ") if path else sentence
    return _NUMBER.sub("#", told)[:_LONGEST_KIND]


def heatmap_notice() -> str:
    """What a heatmap is, and is not."""
    return f"{words()['heatmap_is']} {words()['heatmap_is_not']}"
