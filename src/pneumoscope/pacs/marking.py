"""How results are marked, so that nobody takes them for a radiologist's: names, series descriptions, UIDs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from typing import Final

from pydicom.uid import UID, Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import ModelInfo

SCHEMA: Final = 1
"""Goes up whenever the same image, model and settings would give objects of other content."""

MANUFACTURER: Final = "Pneumoscope"
WARNING: Final = "RESEARCH ONLY"
"""The first characters of each series description: viewers show about twenty of its 64."""

NOTICE: Final = f"{RESEARCH_USE_ONLY} Made by a program; no person has verified it."

IMPLEMENTATION_CLASS_UID: Final = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'pneumoscope/pacs').int}")


class Kind(StrEnum):
    """What a result object is."""

    REPORT = "report"
    CAPTURE = "capture"


SOP_CLASSES: Final = {Kind.REPORT: Comprehensive3DSRStorage, Kind.CAPTURE: SecondaryCaptureImageStorage}
SERIES_NUMBERS: Final = {Kind.REPORT: 9701, Kind.CAPTURE: 9702}
SERIES_DESCRIPTIONS: Final = {
    Kind.REPORT: f"{WARNING} - Pneumoscope structured report",
    Kind.CAPTURE: f"{WARNING} - Pneumoscope heatmap, not diagnostic",
}


@dataclass(frozen=True)
class Origin:
    """What a result comes from; together with the kind it decides every UID.

    Attributes:
        source_uid: SOP Instance UID of the radiograph.
        content_sha256: of the source file's data set, 64 hex digits: the same UID with other content gives other UIDs.
        model: that judged.
        operating_point: name of the threshold.
        made: local time that every date and time in the objects is taken from.
    """

    source_uid: str
    content_sha256: str
    model: ModelInfo
    operating_point: str
    made: datetime

    def uid(self, what: str) -> UID:
        """A UID that is always the same for the same origin and ``what`` (PS3.5, B.2: from a UUID of version 5)."""
        parts = (
            *("pneumoscope", str(SCHEMA), software_version(), _library_version(), self.source_uid),
            *(self.content_sha256, self.model.sha256, self.operating_point, what),
        )
        return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join(parts)).int}")


@cache
def software_version() -> str:
    """Of this package."""
    return version("pneumoscope")


@cache
def _library_version() -> str:
    return version("highdicom")


def device_uid(model: ModelInfo) -> UID:
    """The UID of the "device": one for each model file."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'pneumoscope|device|{model.sha256}').int}")


def is_own(manufacturer: str, series_description: str) -> bool:
    """Tell our own objects, whatever an archive did to their UIDs."""
    return manufacturer == MANUFACTURER or series_description.startswith(WARNING)
