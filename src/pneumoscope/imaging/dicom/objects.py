"""DICOM objects that are no images, named for what they are. Needs no DICOM library: folders are searched without."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_BY_PREFIX: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.3.10": "a directory of DICOM files (DICOMDIR); give the files it lists",
    _STORAGE + "88.59": "a key object selection, which points at images; give the images",
    _STORAGE + "88.": "a structured report, not an image",
    _STORAGE + "11.": "a presentation state, which says how an image is shown; give the image",
    _STORAGE + "104.": "an encapsulated document, not an image",
    _STORAGE + "66": "raw or spatial data, not an image",
    _STORAGE + "9.": "a waveform, not an image",
    _STORAGE + "481.": "an object of radiotherapy, not a radiograph",
    "1.2.840.10008.5.1.4.38.": "a hanging protocol, not an image",
    "1.2.840.10008.5.1.4.39.": "a colour palette, not an image",
}
"""By the beginning of their SOP class UID (PS3.4 B.5, PS3.4 I.4)."""

_CLASS_ELEMENTS: Final = (b"\x02\x00\x02\x00UI", b"\x08\x00\x16\x00UI")
"""(0002,0002) and (0008,0016), explicit little endian, as file meta information always is."""


def describe_object(sop_class: str) -> str | None:
    """What an object that is no image is; ``None`` for all others."""
    return next((what for prefix, what in _BY_PREFIX.items() if sop_class.startswith(prefix)), None)


def class_in_head(head: bytes) -> str:
    """The SOP class UID that the first bytes of a DICOM file name; empty where they do not."""
    for element in _CLASS_ELEMENTS:
        at = head.find(element)
        if at >= 0 and at + 8 <= len(head):
            (length,) = struct.unpack_from("<H", head, at + 6)
            return head[at + 8 : at + 8 + min(length, 64)].rstrip(b"\0 ").decode("ascii", "replace")
    return ""
