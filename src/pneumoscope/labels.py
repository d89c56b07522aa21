"""The closed sets of words that records, tables, manifests and data sets share."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Label(StrEnum):
    """The two classes; their order is that of the integer labels 0 and 1."""

    NORMAL = "NORMAL"
    PNEUMONIA = "PNEUMONIA"


class Subtype(StrEnum):
    """What a pneumonia was caused by, where that is known; in the order of the networks' three classes."""

    NORMAL = "NORMAL"
    BACTERIAL = "BACTERIAL"
    VIRAL = "VIRAL"


class Status(StrEnum):
    """What became of an input."""

    OK = "ok"
    REFUSED = "refused"
    """Read, but it cannot be judged."""
    ERROR = "error"
    """Could not be read."""


LABEL_NAMES: Final = tuple(label.value for label in Label)
SUBTYPE_NAMES: Final = tuple(subtype.value for subtype in Subtype)
