"""Damage in the entropy-coded data of a JPEG, which decoders fill up or run over without a word.

Two signs are looked for. libjpeg counts what it had to guess (a code that is none, data that end early, bytes left
over before a marker): `simplejpeg` gives that as an error. And where a changed bit alters only the *difference* that
codes a block's mean brightness (the DC coefficient, ISO/IEC 10918-1 F.1.2.1), every later block is brighter or darker
by the same amount: a step along a row of blocks that no anatomy makes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 8
"""Side of a JPEG block in pixels."""

MIN_STEP: Final = 8.0
"""Grey levels of the step. In 3,287 radiographs of four folders (children and adults): at most 6."""

MIN_BLOCK: Final = 4
"""Pixels. In smaller blocks a real edge is as sharp as a step."""

MAX_CONTRAST: Final = 2.0
"""Grey levels that the rows beside the step may differ by, median: a real edge is never one row sharp."""


DAMAGE_NOTE: Final = "its JPEG data are damaged ({}); part of the picture may be wrong"


def damage_notes(data: bytes, pixels: NDArray[np.uint8], *, reduced_by: int = 1) -> tuple[str, ...]:
    """What a reader of the result must know about the data of a JPEG: one note, or none.

    Args:
        data: a JPEG of 8 bits a sample.
        pixels: ``uint8 [H, W]``, decoded from it, before it is turned.
        reduced_by: scale that it was decoded at: 1, 2, 4 or 8.
    """
    if complaint := decoder_complaint(data):
        return (DAMAGE_NOTE.format(complaint),)
    if has_step(pixels, BLOCK // reduced_by):
        return (DAMAGE_NOTE.format("brightness jumps along a row of blocks"),)
    return ()


def decoder_complaint(data: bytes) -> str | None:
    """What libjpeg had to guess at while decoding, or ``None`` where it had not to.

    Args:
        data: a JPEG of 8 bits a sample, baseline or progressive. It is decoded at an eighth of its size, for which
            every block's data must be read all the same.
    """
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=1, strict=True)
    except ValueError as error:
        message = " ".join(str(error).split())
        return message if message.startswith(("Corrupt JPEG", "Premature end", "Invalid", "Inconsistent")) else None
    return None


def has_step(pixels: NDArray[np.uint8], block: int = BLOCK) -> bool:
    """Tell whether brightness jumps along a row of blocks, as after a damaged difference.

    Args:
        pixels: ``uint8 [H, W]``, as stored, before it is turned.
        block: side of a block in these pixels; smaller than :data:`BLOCK` where decoded at a reduced scale.
    """
    height = len(pixels)
    if height < 3 * block or block < MIN_BLOCK:
        return False
    rows = np.arange(block, height - block + 1, block)
    values = pixels[:, :: max(1, pixels.shape[1] // 256)].astype(np.int16)
    step = np.median(values[rows] - values[rows - 1], axis=1)
    above = np.median(values[rows - 1] - values[rows - 2], axis=1)
    below = np.median(values[np.minimum(rows + 1, height - 1)] - values[rows], axis=1)
    sharp = (np.abs(step) >= MIN_STEP) & (np.maximum(np.abs(above), np.abs(below)) <= MAX_CONTRAST)
    return bool(sharp.any())
