"""What is written of a prediction into a patient's record: present, absent, indeterminate or not evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pneumoscope.model.contract import Contract
from pneumoscope.model.prediction import Prediction, Status

LEAST_DOUBT: Final = 0.1
"""Percent that are left to doubt in whatever is written into a record."""


class Presence(StrEnum):
    """Of the finding "pneumonia", as the model has it."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class Finding:
    """One result, in the words and numbers of the objects.

    Attributes:
        presence: coded in the report.
        headline: one line for people. Never the word "normal": a model that does not see one disease says nothing
            about all others.
        certainty: P(pneumonia) in percent at the prevalence the model was calibrated to, 0.1 to 99.9: no model is
            certain. ``None`` where nothing was evaluated.
        remarks: the operating point with its figures, notes, and reasons; one sentence or two each.
    """

    presence: Presence
    headline: str
    certainty: float | None
    remarks: tuple[str, ...]


def describe(prediction: Prediction, contract: Contract) -> Finding:
    """Put a prediction into the words of a record.

    The prediction set decides where the model gives one: both labels, or a label outside of the set, are
    "indeterminate". Otherwise the side of the operating point decides.
    """
    if prediction.status is not Status.OK or prediction.probability is None or prediction.label is None:
        return not_evaluated(tuple(_without_name(reason, prediction.path) for reason in prediction.reasons))
    name, point = contract.operating_point(prediction.operating_point)
    above = prediction.label == contract.labels[1]
    presence = _presence(prediction, above)
    side = "reaches" if above else "is below"
    figures = (
        f"Operating point {name}: threshold {100 * point.threshold:.1f} %, on the developers' validation data "
        f"sensitivity {100 * point.sensitivity:.1f} %, specificity {100 * point.specificity:.1f} %."
    )
    remarks = (figures, *(f"Note: {note}." for note in prediction.notes))
    if presence is Presence.INDETERMINATE:
        undecided = f"The model does not decide between its two labels here; the output {side} the operating point."
        return Finding(presence, "Pneumonia: indeterminate", _percent(prediction.probability), (undecided, *remarks))
    return Finding(
        presence, f"Pneumonia: {side.removeprefix('is ')} operating point", _percent(prediction.probability), remarks
    )


def not_evaluated(reasons: tuple[str, ...]) -> Finding:
    """The result of an image that the model did not evaluate."""
    return Finding(
        Presence.NOT_EVALUATED, "Pneumonia: not evaluated", None, tuple(f"Not evaluated: {r}." for r in reasons)
    )


def _percent(probability: float) -> float:
    return min(max(100 * probability, LEAST_DOUBT), 100 - LEAST_DOUBT)


def _presence(prediction: Prediction, above: bool) -> Presence:
    possible = prediction.prediction_set
    if possible is not None and possible != (prediction.label,):
        return Presence.INDETERMINATE
    return Presence.PRESENT if above else Presence.ABSENT


def _without_name(reason: str, name: str) -> str:
    return reason.removeprefix(f"{name}: ").rstrip(".")
