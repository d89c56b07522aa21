"""What decoding one file may cost, held before its pixels are touched.

A file of some kilobytes can claim gigabytes of pixels, and one of some megabytes can hold millions of parts that a
reader walks through one by one. Each limit is far above what any radiograph has. What cannot be told from the file
(the codecs that DICOM encapsulates) runs in a process of its own: :mod:`pneumoscope.imaging.decoder_process`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pneumoscope.errors import RefusedInputError
from pneumoscope.imaging.formats import ImageFormat

MAX_BYTES: Final = 512 * 2**20
"""Files larger than this are refused before reading. 50 megapixels of 16-bit grey are 100 MB."""

DECODING_MEMORY: Final = 2**30
"""Bytes that all threads of a process may hold for decoding at once; who would exceed it waits."""

MAX_JPEG_SEGMENTS: Final = 2_000
"""Marker segments before the first scan. Radiographs have about 10; profiles and Exif data add some hundred."""

MAX_JPEG_SCANS: Final = 100
"""Progressive JPEGs have about 10."""

MAX_JPEG_WORK: Final = 500_000_000
"""Pixels by scans: each scan of a progressive JPEG goes over the whole picture."""

MAX_GIF_BLOCKS: Final = 1_000
"""Data sub-blocks of a GIF's extensions (comments, profiles), each of up to 255 bytes."""

MAX_GIF_PICTURE_BLOCKS: Final = 400_000
"""Data sub-blocks of its picture: 100 MB where they are full, as encoders make them."""

SEVERAL: Final = "several frames or pages, one image needed; extract the one to judge"
"""What is said of a file that holds more than one picture."""

MAX_TIFF_TILE: Final = 100_000_000
"""Bytes, at most, of one tile of a TIFF: libtiff allocates a whole one, however small the picture."""

_GIF_PICTURE, _GIF_EXTENSION = 0x2C, 0x21


class DecodingBudget:
    """A share of memory that threads take and give back.

    Args:
        total: bytes.
    """

    def __init__(self, total: int) -> None:
        self.total, self._left = total, total
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, wanted: int) -> Iterator[None]:
        """Hold ``wanted`` bytes, all that there are at most; waits until so many are free."""
        wanted = min(wanted, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._left += wanted
                self._changed.notify_all()


BUDGET: Final = DecodingBudget(DECODING_MEMORY)
"""Of this process."""


def check_structure(data: bytes, kind: ImageFormat, name: str) -> None:
    """Refuse a file whose parts alone would take a reader minutes or gigabytes.

    Args:
        data: the whole file.
        kind: what it is.
        name: what messages call it.

    Raises:
        RefusedInputError: it has far more parts than any radiograph.
    """
    if kind is ImageFormat.JPEG:
        _check_jpeg(data, name)
    elif kind is ImageFormat.GIF:
        _check_gif(data, name)


def check_scans(data: bytes, pixels: int, name: str) -> None:
    """Refuse a JPEG whose scans, each over the whole picture, would take minutes.

    Raises:
        RefusedInputError: it has more scans than any radiograph.
    """
    # In entropy-coded data FF is followed by 00, so this counts scans, and the few of thumbnails in Exif data.
    scans = data.count(b"\xff\xda")
    if scans > MAX_JPEG_SCANS or (scans > 1 and scans * pixels > MAX_JPEG_WORK):
        raise RefusedInputError(f"{name}: a JPEG of {scans} scans, far more than any radiograph has; save it anew")


def _check_jpeg(data: bytes, name: str) -> None:
    position, segments = 2, 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return
        segments += 1
        if segments > MAX_JPEG_SEGMENTS:
            raise RefusedInputError(f"{name}: a JPEG of over {MAX_JPEG_SEGMENTS} segments; save it anew")
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        position += (1 if marker == 0xFF else 2) if alone else 2 + struct.unpack_from(">H", data, position + 2)[0]


def _check_gif(data: bytes, name: str) -> None:
    """Walk the blocks; Pillow joins comments in a time that grows with the square of their number."""
    position = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    extension_blocks = picture_blocks = pictures = 0
    while position + 10 < len(data) and data[position] in (_GIF_EXTENSION, _GIF_PICTURE):
        if data[position] == _GIF_PICTURE:
            pictures += 1
            if pictures > 1:
                raise RefusedInputError(f"{name}: {SEVERAL}")
            flags = data[position + 9]
            count, position = _sub_blocks(data, position + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            picture_blocks += count
        else:
            count, position = _sub_blocks(data, position + 2)
            extension_blocks += count
        if extension_blocks > MAX_GIF_BLOCKS or picture_blocks > MAX_GIF_PICTURE_BLOCKS:
            raise RefusedInputError(f"{name}: a GIF of far more blocks than any picture has; save it anew")


def _sub_blocks(data: bytes, position: int) -> tuple[int, int]:
    """Number of a GIF block's data sub-blocks, and where the next block begins."""
    count = 0
    while position < len(data) and data[position] and count <= MAX_GIF_PICTURE_BLOCKS:
        position += 1 + data[position]
        count += 1
    return count, position + 1
