"""Bars of one grey level at the edges of a picture, which no detector makes: found, and cut away.

Viewers and converters pad radiographs to a square or to a screen. A bar changes where the anatomy lies in the model's
input, and with it the answer. What is cut is said in a note.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BAR_TOLERANCE: Final = 3
"""Grey levels by which the pixels of a bar may differ from its level: what JPEG leaves of a flat area."""

MIN_BAR: Final = 0.01
"""Share of the side from which a bar is cut. Scanned films end in a few flat lines that change nothing."""

MIN_KEPT: Final = 0.25
"""Share of each side that must be left; where less is, the picture is no padded radiograph and stays whole."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first column and row outside."""


def whole(pixels: NDArray[np.uint8]) -> Box:
    """The box of a whole picture, ``uint8 [H, W]``."""
    return 0, 0, pixels.shape[1], pixels.shape[0]


def find_bars(pixels: NDArray[np.uint8], minimum: float = MIN_BAR) -> Box:
    """The box that is left when bars of one grey level at the edges are cut away.

    A bar is a run of columns (rows) from an edge inwards, all of whose pixels lie within :data:`BAR_TOLERANCE` of the
    median of the outermost one, and that is at least ``minimum`` of the width (height) wide.

    Args:
        pixels: ``uint8 [H, W]``.
        minimum: share of the side.

    Returns:
        The box; the whole picture where there is no bar, or hardly anything but bars.
    """
    height, width = pixels.shape
    left, right = _bar(pixels.T, minimum), _bar(pixels.T[::-1], minimum)
    if left + right > (1 - MIN_KEPT) * width:
        return whole(pixels)
    inner = pixels[:, left : width - right]
    top, bottom = _bar(inner, minimum), _bar(inner[::-1], minimum)
    if top + bottom > (1 - MIN_KEPT) * height:
        return whole(pixels)
    if top or bottom:  # bars above and below may have hidden where those at the sides end
        middle = pixels[top : height - bottom]
        left, right = _bar(middle.T, minimum), _bar(middle.T[::-1], minimum)
        if left + right > (1 - MIN_KEPT) * width:
            return whole(pixels)
    return left, top, width - right, height - bottom


def _bar(lines: NDArray[np.uint8], minimum: float) -> int:
    """How many lines from the first on are of one grey level; 0 where they are too few to be a bar."""
    least = max(1, round(minimum * len(lines)))
    level = int(np.median(lines[0]))
    low, high = max(0, level - BAR_TOLERANCE), min(255, level + BAR_TOLERANCE)
    count = 0
    # Most pictures have no bar: look at the first lines before all of them.
    for step in (least, len(lines)):
        part = lines[:step]
        flat = (part.min(axis=1) >= low) & (part.max(axis=1) <= high)
        count = step if flat.all() else int(np.argmin(flat))
        if count < least:
            return 0
    return count


def describe_cut(box: Box, width: int, height: int, what: str) -> str:
    """The note on a cut.

    Args:
        box: what was kept.
        width: of the picture before, in pixels.
        height: of the picture before, in pixels.
        what: was cut away, as in "bars of one grey level".
    """
    left, top, right, bottom = box
    cuts = {"left": left / width, "right": 1 - right / width, "top": top / height, "bottom": 1 - bottom / height}
    sides = ", ".join(f"{share:.0%} {side}" for side, share in cuts.items() if share > 0)
    return f"{what} cut away ({sides})"
