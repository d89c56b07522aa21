"""The steps between which a process may die. Reaching one does nothing; tests that kill at each hook in here."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Points on an image's way; whatever dies there, nothing may be lost or doubled."""

    IMAGE_ON_DISK = "image on disk"
    ROW_ON_DISK = "row on disk"
    JUDGING = "judging"
    RESULTS_ON_DISK = "results on disk"
    JUDGED = "judged"
    FIRST_OBJECT_SENT = "first object sent"
    ALL_OBJECTS_SENT = "all objects sent"
    SENT = "sent"
    COMMITMENT_ASKED = "commitment asked"
    COMMITMENT_ANSWERED = "commitment answered"
    COMMITTED = "committed"


def reached(step: Step) -> None:
    """Say that a step was reached."""
