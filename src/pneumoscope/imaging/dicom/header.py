"""What a DICOM header says of a radiograph beside its pixels: kind, view, body part, age, and who made it."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from pneumoscope.errors import RefusedInputError
from pneumoscope.imaging.dicom.objects import describe_object
from pneumoscope.imaging.radiograph import PROGRAM

CAPTURE_CLASSES: Final = (
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
"""Those of several frames are judged where they hold one."""

RADIOGRAPH_CLASSES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    *CAPTURE_CLASSES,
)

RADIOGRAPH_MODALITIES: Final = ("CR", "DX", "DR", "RG", "XR")
"""RG (radiographic imaging) is what digitised film and older equipment write; DR and XR are no terms of the standard,
and much equipment writes them."""

CAPTURE_MODALITIES: Final = (*RADIOGRAPH_MODALITIES, "OT", "SC", "")
"""What a secondary capture may say: many writers know no better than OT (other)."""

CHEST_PARTS: Final = ("", "CHEST", "THORAX", "LUNG", "LUNGS", "CHESTABDOMEN", "TORSO", "TRUNK", "RIB", "RIBS")
_CHEST_WORDS: Final = re.compile(r"CHEST|THORA|LUNG|\bRIBS?\b|TRUNK|TORSO")

LATERAL_VIEWS: Final = ("LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "LAT", "OBLIQUE")
_OTHER_VIEW: Final = re.compile(r"LATERAL|OBLIQUE|LORDOTIC|AXIAL|DECUBITUS", re.IGNORECASE)

_MAKER_FIELDS: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "SeriesDescription",
    "SoftwareVersions",
    "ImageComments",
    "DerivationDescription",
)
_LONGEST_TEXT: Final = 64


def check_kind(dataset: Dataset, name: str) -> None:
    """Refuse what is no radiograph, and what this program made itself.

    Raises:
        RefusedInputError: it is such an object; the message says what it is.
    """
    sop_class = sop_class_of(dataset)
    modality = text(dataset, "Modality").upper()
    if sop_class == DigitalXRayImageStorageForProcessing:
        raise RefusedInputError(f"{name}: raw detector data 'for processing'; send the 'for presentation' image")
    if sop_class and sop_class not in RADIOGRAPH_CLASSES:
        known = describe_object(str(sop_class))
        what = known or f"{sop_class.name}, not a CR, DX or secondary-capture image"
        raise RefusedInputError(f"{name}: {what}")
    if sop_class in CAPTURE_CLASSES:
        allowed: tuple[str, ...] = CAPTURE_MODALITIES
    else:
        # A CR or DX object is what its class says, even where the modality is left out.
        allowed = (*RADIOGRAPH_MODALITIES, "") if sop_class else RADIOGRAPH_MODALITIES
    if modality not in allowed:
        raise RefusedInputError(f"{name}: modality {modality or 'not given'}, only radiographs (CR, DX) are judged")
    if any(PROGRAM.lower() in text(dataset, field, whole=True).lower() for field in _MAKER_FIELDS):
        raise RefusedInputError(f"{name}: a picture that {PROGRAM} made itself; give the radiograph it was made from")


def sop_class_of(dataset: Dataset) -> UID:
    """The SOP class; where de-identification stripped it, that of the file meta information."""
    meta = getattr(dataset, "file_meta", None)
    stored = "" if meta is None else str(meta.get("MediaStorageSOPClassUID") or "")
    return UID(text(dataset, "SOPClassUID") or stored)


def text(dataset: Dataset, keyword: str, *, whole: bool = False) -> str:
    """An attribute as one line of text, stripped and cut to 64 characters; its first value where it has several.

    Args:
        dataset: to read from.
        keyword: of the attribute.
        whole: all values, joined and not cut.
    """
    value = dataset.get(keyword)
    if value is None:
        return ""
    if isinstance(value, (list, tuple)) or (hasattr(value, "append") and not isinstance(value, str)):
        values = [str(each) for each in value]
        value = " ".join(values) if whole else (values[0] if values else "")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    return line if whole else line[:_LONGEST_TEXT]


def header_notes(dataset: Dataset) -> tuple[str, ...]:
    """What the reader of a judged record must know of the header: headers are too often wrong to refuse by.

    One sentence each: another body part than the chest, another view than the frontal, burnt-in text, and an image
    that was made from another one after the examination.
    """
    part, view = _body_part(dataset), _view(dataset)
    notes = []
    if part:
        notes.append(f"its header names the body part {part}, not the chest")
    if view:
        notes.append(f"its header names the view {view}; the model knows frontal views")
    if text(dataset, "BurnedInAnnotation").upper() == "YES":
        notes.append("its header says that text is burnt into the picture")
    kinds = [str(value).strip().upper() for value in _values(dataset, "ImageType")]
    if kinds[:2] == ["DERIVED", "SECONDARY"]:
        notes.append("its header says DERIVED and SECONDARY: a program made this picture from another")
    return tuple(notes)


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _meanings(dataset: Dataset, keyword: str) -> list[str]:
    """Code meanings of a sequence's items."""
    items = dataset.get(keyword)
    if not items or not hasattr(items, "__iter__"):
        return []
    return [meaning for item in items if isinstance(item, Dataset) and (meaning := text(item, "CodeMeaning"))]


def _body_part(dataset: Dataset) -> str:
    """The body part where it is not the chest."""
    named = text(dataset, "BodyPartExamined").upper()
    if named.replace(" ", "") in CHEST_PARTS and named:
        return ""
    for part in [named] if named else [meaning.upper() for meaning in _meanings(dataset, "AnatomicRegionSequence")[:1]]:
        return "" if _CHEST_WORDS.search(part) else part
    return ""


def _view(dataset: Dataset) -> str:
    """The view where it is not frontal: by position, by code, or by the directions in which rows and columns run."""
    view = text(dataset, "ViewPosition").upper()
    if view in LATERAL_VIEWS or _OTHER_VIEW.search(view):
        return view
    for meaning in _meanings(dataset, "ViewCodeSequence"):
        if _OTHER_VIEW.search(meaning):
            return meaning
    directions = patient_orientation(dataset)
    if not view and directions and any(direction[0] in "AP" for direction in directions):
        return "lateral (patient orientation " + "\\".join(directions) + ")"
    return ""


def patient_orientation(dataset: Dataset) -> tuple[str, str] | None:
    """Directions in which rows and columns run (PS3.3 C.7.6.1.1.1), as in ``("L", "F")``; ``None`` if not given."""
    values = [str(value).strip().upper() for value in _values(dataset, "PatientOrientation")]
    if len(values) != 2 or not all(re.fullmatch(r"[LRAPHF]{1,3}", value) for value in values):
        return None
    return values[0], values[1]


_AGE: Final = re.compile(r"(\d{1,3})([DWMY])")
_YEARS: Final = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def age_years(dataset: Dataset) -> float | None:
    """Age at the examination in years: as stated, else from the dates of birth and examination."""
    if found := _AGE.fullmatch(text(dataset, "PatientAge").upper()):
        return int(found[1]) * _YEARS[found[2]]
    born = _date(text(dataset, "PatientBirthDate"))
    dates = (_date(text(dataset, key)) for key in ("AcquisitionDate", "StudyDate", "ContentDate", "SeriesDate"))
    examined = next((day for day in dates if day is not None), None)
    if born is None or examined is None or examined < born:
        return None
    years = (examined - born).days / 365.25
    return years if years <= 130 else None


def _date(value: str) -> date | None:
    digits = value.replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
