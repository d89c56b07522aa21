"""What a compressed image itself says, read before it is decoded.

A decoder allocates what the codestream says, not what Rows and Columns say, so a small header around a huge
codestream would fill the memory; and libjpeg fills up a codestream that stops too early with grey, without a
word.
"""

from __future__ import annotations

import struct

# Start-of-frame markers of JPEG (ISO/IEC 10918-1) and JPEG-LS (14495-1): not DHT (C4), JPG (C8), DAC (CC).
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_J2K_START = b"\xff\x4f\xff\x51"


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it does not say.

    Args:
        frame: one encapsulated frame; JPEG 2000 may be wrapped in JP2 boxes.
    """
    if frame.startswith(b"\xff\xd8"):
        return _jpeg_size(frame)
    start = frame.find(_J2K_START, 0, 4096)
    if start < 0 or len(frame) < start + 24:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">4I", frame, start + 8)
    return x1 - x0, y1 - y0


def is_cut_short(frame: bytes) -> bool:
    """Tell whether a JPEG or JPEG-LS codestream lacks its end marker; a few bytes of padding may follow it."""
    return frame.startswith(b"\xff\xd8") and b"\xff\xd9" not in frame[-64:]


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", frame, position + 5)
            return width, height
        (length,) = struct.unpack_from(">H", frame, position + 2)
        position += 2 + length
    return None
