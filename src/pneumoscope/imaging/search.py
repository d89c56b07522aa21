"""Which files of a folder are radiographs: the one search that judging, auditing, splitting and training share.

A file is an image by its ending or by its content: archives name DICOM files by their UID or a bare number, phones and
browsers write ``.jfif`` or no ending at all. Hidden files and folders are left out, and so is what macOS adds to
archives. What looks as if it should have been judged and is not (a picture of a format that is not read, a DICOM object
that is no image, a link to a folder) is named with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from pneumoscope.imaging.dicom.objects import class_in_head, describe_object
from pneumoscope.imaging.formats import HEAD_BYTES, ImageFormat, image_format, unread_picture

IMAGE_ENDINGS: Final = frozenset(
    {
        *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
        *(".dcm", ".dicom", ".dic"),
    }
)
DICOM_ENDINGS: Final = frozenset({".dcm", ".dicom", ".dic"})

_LISTED: Final = 8
_MACOS: Final = "__MACOSX"
_DIRECTORY, _DIRECTORY_CLASS = "DICOMDIR", "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class PassedOver:
    """A file or folder that was found and not taken.

    Attributes:
        path: of it.
        why: in a few words; empty where it is no image at all.
    """

    path: Path
    why: str


def is_hidden(name: str) -> bool:
    """Whether a name is a hidden one, or that of the folder in which macOS keeps what it adds to archives."""
    return name.startswith(".") or name == _MACOS


def is_image_name(name: str) -> bool:
    """Whether a name has the ending of an image: all that is known of a file elsewhere."""
    return PurePath(name).suffix.lower() in IMAGE_ENDINGS


def is_image_file(file: Path) -> bool:
    """Whether a file is a radiograph to read, by its ending or its content."""
    return why_not(file) is None


def why_not(file: Path) -> str | None:
    """Why a file is not a radiograph to read; ``None`` where it is one.

    Returns:
        ``None`` for a file whose ending or content is an image's, whether it can be decoded or not; ``""`` for a file
        that is no image; else what it is, as in ``"HEIC is not read"``.
    """
    if is_hidden(file.name):
        return ""
    if file.name == _DIRECTORY:
        return describe_object(_DIRECTORY_CLASS)
    ending = file.suffix.lower()
    if ending in IMAGE_ENDINGS - DICOM_ENDINGS:
        return None if file.is_file() or not file.exists() else ""
    if not file.is_file():
        return ""
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
    except OSError:
        return None if ending in DICOM_ENDINGS else ""  # reading it says what is wrong
    kind = image_format(head)
    if kind is ImageFormat.DICOM:
        return describe_object(class_in_head(head))
    if kind is not None or ending in DICOM_ENDINGS:
        return None
    picture = unread_picture(head)
    return f"{picture} is not read" if picture else ""


def find_radiographs(
    folder: Path, unlisted: Callable[[OSError], None] | None = None, *, leave_out: Path | None = None
) -> tuple[list[Path], list[PassedOver]]:
    """The radiographs in a folder and below it, sorted, and what was passed over with a reason.

    Args:
        folder: to search. Links to folders in it are not followed.
        unlisted: told of a folder that cannot be listed.
        leave_out: an output folder, not searched.
    """
    found: list[Path] = []
    passed: list[PassedOver] = []
    skipped = None if leave_out is None else leave_out.resolve()
    for place, folders, files in os.walk(folder, onerror=unlisted):
        here = Path(place)
        passed.extend(
            PassedOver(here / name, "a link to a folder is not followed")
            for name in folders
            if not is_hidden(name) and (here / name).is_symlink()
        )
        folders[:] = [
            name
            for name in folders
            if not is_hidden(name) and not (here / name).is_symlink() and (here / name).resolve() != skipped
        ]
        for file in (here / name for name in files):
            reason = why_not(file)
            if reason is None:
                found.append(file)
            elif reason:
                passed.append(PassedOver(file, reason))
    return sorted(found), sorted(passed, key=lambda entry: entry.path)


def describe_passed_over(entries: Sequence[PassedOver]) -> str:
    """One sentence on what was passed over."""
    listed = ", ".join(f"{entry.path} ({entry.why})" for entry in entries[:_LISTED])
    more = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    return f"passed over: {listed}{more}"
