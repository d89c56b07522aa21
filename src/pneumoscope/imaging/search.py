"""Which files are images, by their names and, where a name does not say, by their first bytes."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

from pneumoscope.imaging.reader import looks_like_dicom

IMAGE_ENDINGS: Final = frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".dicom"})
"""Endings of the formats that ``imaging.reader`` reads, in small letters."""

_DICOM_DIRECTORY: Final = "DICOMDIR"
_HEADER_BYTES: Final = 132


def is_image_name(name: str) -> bool:
    """Whether a name has the ending of an image."""
    return PurePath(name).suffix.lower() in IMAGE_ENDINGS


def is_image_file(file: Path) -> bool:
    """Whether a file is an image by its name, or a DICOM file by its content."""
    if is_image_name(file.name):
        return True
    if file.name == _DICOM_DIRECTORY or not file.is_file():
        return False
    # Archives name DICOM files by their UID or by a bare number.
    try:
        with file.open("rb") as content:
            return looks_like_dicom(content.read(_HEADER_BYTES))
    except OSError:
        return False  # neither its name nor its content says that it is an image
