"""What a file is, told from its first bytes, never from its name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HEAD_BYTES: Final = 4096
"""As many bytes of a file as :func:`image_format` and :func:`describe_unknown` look at."""

Sniff = Callable[[bytes], bool]


class ImageFormat(StrEnum):
    """What a file is, by its content."""

    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    BMP = "BMP"
    WEBP = "WebP"
    GIF = "GIF"
    DICOM = "DICOM"
    PIXELS = "pixels"
    """No file: pixels that a program handed over."""


def looks_like_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file, or a bare data set without the preamble that PS3.10 asks for."""
    if data[128:132] == b"DICM":
        return True
    # A bare data set starts with a File Meta (0002) or Identifying (0008) element, whose VR (explicit) is
    # two capital letters or whose 32-bit length (implicit) is short.
    if len(data) < 8 or data[:4] == bytes(4):
        return False
    for order in ("<", ">"):
        group, element = struct.unpack_from(order + "HH", data)
        if group not in (0x0002, 0x0008) or element > 0x0070:
            continue
        (length,) = struct.unpack_from(order + "I", data, 4)
        if (data[4:6].isalpha() and data[4:6].isupper()) or length <= 1024:
            return True
    return False


def _is_bitmap(data: bytes) -> bool:
    """A BMP header says how large its information header is: text that begins with "BM" does not."""
    return (
        data[:2] == b"BM"
        and len(data) >= 18
        and struct.unpack_from("<I", data, 14)[0] in (12, 40, 52, 56, 64, 108, 124)
    )


_SNIFFERS: Final[tuple[tuple[ImageFormat, Sniff], ...]] = (
    (ImageFormat.DICOM, looks_like_dicom),
    (ImageFormat.JPEG, lambda d: d[:3] == b"\xff\xd8\xff" and not _is_jpeg_ls(d)),
    (ImageFormat.PNG, lambda d: d[:8] == b"\x89PNG\r\n\x1a\n"),
    (ImageFormat.TIFF, lambda d: d[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (ImageFormat.WEBP, lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP"),
    (ImageFormat.BMP, _is_bitmap),
    (ImageFormat.GIF, lambda d: d[:6] in (b"GIF87a", b"GIF89a")),
)


def image_format(data: bytes) -> ImageFormat | None:
    """The format of a file, or ``None`` where it is none that is read.

    Args:
        data: the file, or its first :data:`HEAD_BYTES`.
    """
    head = data[:HEAD_BYTES]
    return next((kind for kind, sniff in _SNIFFERS if sniff(head)), None)


def _is_jpeg_ls(data: bytes) -> bool:
    """JPEG-LS (ISO 14495-1) starts as a JPEG does; its frame header is marker F7, its presets F8."""
    position = 2
    while data[:2] == b"\xff\xd8" and position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):  # application data and comments may come first
            return marker in (0xF7, 0xF8)
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return False


def _brand(*brands: bytes) -> Sniff:
    """Files of the ISO base media format name their kind, and kinds they are compatible with, in the first box."""

    def sniff(data: bytes) -> bool:
        if data[4:8] != b"ftyp":
            return False
        end = min(struct.unpack_from(">I", data)[0], 128)
        return any(data[at : at + 4] in brands for at in (8, *range(16, end - 3, 4)))

    return sniff


@dataclass(frozen=True)
class _Unread:
    """A kind of file that is known and not read."""

    name: str
    sniff: Sniff
    advice: str


_AS_PNG: Final = "is not read; save it as PNG or JPEG"
_UNREAD: Final = (
    _Unread("AVIF", _brand(b"avif", b"avis"), _AS_PNG),
    _Unread("HEIC", _brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), _AS_PNG),
    _Unread("JPEG XL", lambda d: d[:2] == b"\xff\x0a" or d[:12] == b"\0\0\0\x0cJXL \r\n\x87\n", _AS_PNG),
    _Unread("JPEG-LS", _is_jpeg_ls, "is not read outside DICOM; save it as PNG, or give the DICOM file"),
    _Unread(
        "JPEG 2000",
        lambda d: d[:4] == b"\xff\x4f\xff\x51" or d[:12] == b"\0\0\0\x0cjP  \r\n\x87\n",
        "is not read outside DICOM; save it as PNG, or give the DICOM file",
    ),
    _Unread("JPEG XR", lambda d: d[:3] == b"II\xbc", _AS_PNG),
    _Unread("PDF", lambda d: d[:5] == b"%PDF-", "is a document; export the radiograph itself"),
    _Unread("ZIP", lambda d: d[:4] == b"PK\x03\x04", "is an archive; unpack it and give the images"),
    _Unread("gzip", lambda d: d[:2] == b"\x1f\x8b", "is compressed; unpack it and give the image"),
    _Unread("NIfTI", lambda d: d[344:348] in (b"n+1\0", b"ni1\0"), "is a volume; radiographs are pictures or DICOM"),
    _Unread("PGM", lambda d: d[:2] in (b"P2", b"P5") and d[2:3].isspace(), _AS_PNG),
    _Unread("Photoshop", lambda d: d[:4] == b"8BPS", _AS_PNG),
    _Unread("SVG", lambda d: b"<svg" in d[:1024], _AS_PNG),
    _Unread("HTML", lambda d: d.lstrip()[:14].lower() in (b"<!doctype html", b"<html"), "is a web page, not an image"),
)


def unread_picture(data: bytes) -> str | None:
    """The name of the format where a file is known and not read, as in "HEIC"."""
    head = data[:HEAD_BYTES]
    return next((kind.name for kind in _UNREAD if kind.sniff(head)), None)


def describe_unknown(data: bytes) -> str:
    """What to say of a file that :func:`image_format` does not know."""
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself; run `git lfs pull`"
    for kind in _UNREAD:
        if kind.sniff(data[:HEAD_BYTES]):
            return f"{kind.name} {kind.advice}"
    known = ", ".join(kind.value for kind in ImageFormat if kind is not ImageFormat.PIXELS)
    return f"not an image of a known format ({known}); it starts with {data[:12]!r}"
