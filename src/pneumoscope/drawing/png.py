"""PNG: a writer that is fast where it matters, and pictures as data URIs.

Pillow tries five filters on every row, which takes longer than a judgement. On panels of radiographs one of them, the
difference to the row above, gives files of nearly the same size in a sixth of the time; measured on native radiographs:
54 ms and 236 kB by Pillow's default, 17 ms and 257 kB at its lowest level, 8 ms and 263 kB here.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_UP: Final = 2
"""Filter type "Up" (PNG specification, section 9.2): the difference to the row above, modulo 256."""


def encode_png(pixels: NDArray[np.uint8], about: Mapping[str, str] | None = None) -> bytes:
    """Encode a picture as PNG, without loss.

    Args:
        pixels: RGB, ``uint8 [H, W, 3]``, or grey, ``uint8 [H, W]``.
        about: Latin-1 texts by keyword (``Software``, ``Comment``, ...), which viewers show.

    Raises:
        ValueError: an array of another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"a picture must be uint8 [H, W] or [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, _RGB if pixels.ndim == 3 else _GREY, 0, 0, 0)
    texts = [_chunk(b"tEXt", f"{key}\0{text}".encode("latin-1", "replace")) for key, text in (about or {}).items()]
    data = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), level=1))
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), *texts, data, _chunk(b"IEND", b"")])


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """A picture as text that a page holds in itself.

    Args:
        content: the file's bytes.
        kind: its media type.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
