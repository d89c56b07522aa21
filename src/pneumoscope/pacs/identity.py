"""Whose image it is: patient, study and source image, as the header says it, made fit to be written again.

Headers of real devices break the standard in ways that no reader minds and every writer refuses: type 2 attributes left
out, sex ``X``, birth date ``00000000``, text in a character set other than the declared one. What is written into a
patient's record has to be valid, so each value is decoded, checked against its value representation (PS3.5, 6.2) and
written anew in UTF-8; what is invalid becomes empty, never something else. The UIDs that tie a result to its image
cannot be empty: without them there is no identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from io import BytesIO
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.valuerep import PersonName

from pneumoscope.errors import RefusedInputError, UnreadableInputError
from pneumoscope.imaging.quiet import quiet_warnings

UTF_8: Final = "ISO_IR 192"

REQUIRED_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_UID: Final = re.compile(r"[0-9.]{1,64}")

# Keywords by value representation; those in _TYPE_2 are written empty where the header lacks them.
_KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "PN": ("PatientName", "ReferringPhysicianName"),
    "LO": ("PatientID", "IssuerOfPatientID", "StudyDescription", "Manufacturer", "ManufacturerModelName"),
    "SH": ("AccessionNumber", "StudyID"),
    "CS": ("PatientSex", "Modality", "BodyPartExamined", "ViewPosition"),
    "DA": ("PatientBirthDate", "StudyDate"),
    "TM": ("StudyTime",),
    "AS": ("PatientAge",),
}
_TYPE_2: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_LENGTHS: Final = {"LO": 64, "SH": 16, "CS": 16}
_CODE: Final = re.compile(r"[A-Z0-9 _]*")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_AGE: Final = re.compile(r"\d{3}[DWMY]")
_SEXES: Final = ("M", "F", "O")
# C0 and C1 control characters, the backslash that separates values, and what a broken character set leaves behind.
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\\\\\ufffd\ud800-\udfff]")


def read_header(content: bytes, name: str = "input") -> FileDataset:
    """Read a DICOM file's header up to its pixels.

    Raises:
        UnreadableInputError: damaged, or no DICOM file.
    """
    try:
        with quiet_warnings():
            header = dcmread(BytesIO(content), stop_before_pixels=True, force=True)
            # Reading is lazy; a header that breaks later would break in the middle of something else.
            _ = [header.get(keyword) for keyword in (*REQUIRED_UIDS, "PatientName", "Modality")]
    except Exception as error:
        raise UnreadableInputError(f"{name}: damaged DICOM header ({type(error).__name__})") from error
    if not len(header):
        raise UnreadableInputError(f"{name}: no DICOM data set in it")
    return header


def normalise(header: Dataset, name: str = "input") -> Dataset:
    """Give identity, study and source of an image as a small, valid data set in UTF-8.

    Args:
        header: of the source image; not changed.
        name: what messages call it.

    Returns:
        Patient and study attributes with every type 2 attribute there, the four UIDs, and what the image library of a
        report needs (rows, columns). Invalid values are empty.

    Raises:
        RefusedInputError: a UID that a result must refer to is missing or no UID.
    """
    with quiet_warnings():
        uids = {keyword: _text(header, keyword) for keyword in REQUIRED_UIDS}
        missing = [keyword for keyword, value in uids.items() if not _UID.fullmatch(value)]
        if missing:
            raise RefusedInputError(f"{name}: {', '.join(missing)} missing or invalid; a result could not refer to it")
        identity = Dataset()
        identity.SpecificCharacterSet = UTF_8
        for keyword, value in uids.items():
            setattr(identity, keyword, value)
        for representation, keywords in _KEYWORDS.items():
            for keyword in keywords:
                value = _CHECKS[representation](_text(header, keyword))
                if keyword == "PatientSex" and value not in _SEXES:
                    value = ""
                if value or keyword in _TYPE_2:
                    setattr(identity, keyword, PersonName(value) if representation == "PN" else value)
        for keyword in ("Rows", "Columns"):
            setattr(identity, keyword, _side(header, keyword))
        identity.LossyImageCompression = "01" if _text(header, "LossyImageCompression") == "01" else "00"
    return identity


def age_in_years(identity: Dataset) -> float | None:
    """Age at the study: as stated, else from birth date and study date; ``None`` where neither is there."""
    stated = str(identity.get("PatientAge") or "")
    if stated:
        per_year = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
        return int(stated[:3]) / per_year[stated[3]]
    born, seen = _as_date(identity.PatientBirthDate), _as_date(identity.StudyDate)
    if born is None or seen is None or seen < born:
        return None
    return (seen - born).days / 365.25


def _text(header: Dataset, keyword: str) -> str:
    """An attribute as decoded text; empty where it is missing or cannot be decoded. Several values: the first."""
    try:
        value: Any = header.get(keyword)
        if isinstance(value, (list, tuple)) or (hasattr(value, "append") and not isinstance(value, str)):
            value = value[0] if len(value) else ""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return "" if value is None else str(value).strip(" \0")
    except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile text: the value is invalid, so empty
        return ""


def _side(header: Dataset, keyword: str) -> int:
    text = _text(header, keyword)
    return int(text) if text.isdecimal() and int(text) < 2**16 else 0


def _plain(limit: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        return "" if _UNWRITABLE.search(value) or len(value) > limit else value

    return check


def _code(value: str) -> str:
    return value if len(value) <= _LENGTHS["CS"] and _CODE.fullmatch(value) else ""


def _name(value: str) -> str:
    """A person name of up to three component groups of 64 characters each (PS3.5, 6.2.1)."""
    groups = value.split("=")
    if _UNWRITABLE.search(value) or len(groups) > 3 or any(len(g) > 64 or g.count("^") > 4 for g in groups):
        return ""
    return value


def _date(value: str) -> str:
    return value if _as_date(value) else ""


def _as_date(value: object) -> date | None:
    text = str(value or "")
    if not (len(text) == 8 and text.isdecimal() and text.isascii()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


_CHECKS: Final[Mapping[str, Callable[[str], str]]] = {
    "PN": _name,
    "LO": _plain(_LENGTHS["LO"]),
    "SH": _plain(_LENGTHS["SH"]),
    "CS": _code,
    "DA": _date,
    "TM": lambda value: value if _TIME.fullmatch(value) else "",
    "AS": lambda value: value if _AGE.fullmatch(value) else "",
}
