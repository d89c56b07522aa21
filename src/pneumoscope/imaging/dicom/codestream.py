"""What a compressed image itself says, read before it is decoded.

A decoder allocates what the codestream says, not what Rows and Columns say, so a small header around a huge
codestream would fill the memory; and libjpeg fills up a codestream that stops too early with grey, without a
word.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Start-of-frame markers of JPEG (ISO/IEC 10918-1) and JPEG-LS (14495-1): not DHT (C4), JPG (C8), DAC (CC).
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_J2K_START = b"\xff\x4f\xff\x51"
_ADOBE, _JFIF = 0xEE, 0xE0


@dataclass(frozen=True)
class Codestream:
    """What the header of a codestream claims.

    Attributes:
        width: columns.
        height: rows.
        components: a pixel.
        precision: bits of the first component.
        signed: whether its values are.
        names_colours: whether a marker or the components' names say which colours they are.
        lossless_or_deep: not a JPEG of 8 bits a sample with a discrete cosine transform.
    """

    width: int
    height: int
    components: int
    precision: int
    signed: bool = False
    names_colours: bool = False
    lossless_or_deep: bool = True


def read_codestream(frame: bytes) -> Codestream | None:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 codestream; ``None`` where it does not say.

    Args:
        frame: one encapsulated frame; JPEG 2000 may be wrapped in JP2 boxes.
    """
    if frame.startswith(b"\xff\xd8"):
        return _read_jpeg(frame)
    start = frame.find(_J2K_START, 0, 4096)
    if start < 0 or len(frame) < start + 43:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">4I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    return Codestream(x1 - x0, y1 - y0, components, (depth & 0x7F) + 1, bool(depth & 0x80))


def is_cut_short(frame: bytes) -> bool:
    """Tell whether a JPEG or JPEG-LS codestream lacks its end marker; zeros, and a few other bytes, may follow it."""
    return frame.startswith(b"\xff\xd8") and b"\xff\xd9" not in frame.rstrip(b"\0")[-64:]


def _read_jpeg(frame: bytes) -> Codestream | None:
    position, named = 2, False
    while position + 10 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            precision, height, width, components = struct.unpack_from(">BHHB", frame, position + 4)
            ids = frame[position + 10 : position + 10 + 3 * components : 3]
            usual = marker in (0xC0, 0xC1, 0xC2) and precision == 8
            return Codestream(width, height, components, precision, False, named or ids in (b"RGB", b"rgb"), not usual)
        (length,) = struct.unpack_from(">H", frame, position + 2)
        content = frame[position + 4 : position + 9]
        named = named or (marker == _ADOBE and content == b"Adobe") or (marker == _JFIF and content[:4] == b"JFIF")
        position += 2 + length
    return None
