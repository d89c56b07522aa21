"""Display shutters (PS3.3 C.7.6.11): the part of a radiograph that its maker wants shown."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

MIN_SHOWN: Final = 0.05
"""Share of the picture that a shutter must leave; one that hides more is taken for an error of the header."""


def shutter_mask(dataset: Dataset, height: int, width: int) -> NDArray[np.bool_] | None:
    """What the display shutters hide.

    Args:
        dataset: with or without a Display Shutter module; several shapes hide what any of them hides.
        height: rows of the image.
        width: columns of the image.

    Returns:
        ``bool [H, W]``, true where hidden; ``None`` where nothing is, or the shutter makes no sense.
    """
    shapes = dataset.get("ShutterShape")
    if not shapes:
        return None
    names = {str(shape).strip().upper() for shape in ([shapes] if isinstance(shapes, str) else shapes)}
    shown = np.ones((height, width), np.bool_)
    if "RECTANGULAR" in names:
        shown &= _rectangle(dataset, height, width)
    if "CIRCULAR" in names:
        shown &= _circle(dataset, height, width)
    if "POLYGONAL" in names:
        shown &= _polygon(dataset, height, width)
    if shown.all() or shown.mean() < MIN_SHOWN:
        return None
    return ~shown


def bounding_box(shown: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (the latter two are the first outside) of what is true; ``None`` where nothing is."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _rectangle(dataset: Dataset, height: int, width: int) -> NDArray[np.bool_]:
    """Edges are columns and rows counted from 1; they themselves are shown."""
    left = _integer(dataset, "ShutterLeftVerticalEdge", 1)
    right = _integer(dataset, "ShutterRightVerticalEdge", width)
    top = _integer(dataset, "ShutterUpperHorizontalEdge", 1)
    bottom = _integer(dataset, "ShutterLowerHorizontalEdge", height)
    shown = np.zeros((height, width), np.bool_)
    shown[max(0, top - 1) : max(0, bottom), max(0, left - 1) : max(0, right)] = True
    return shown


def _circle(dataset: Dataset, height: int, width: int) -> NDArray[np.bool_]:
    centre, radius = _integers(dataset, "CenterOfCircularShutter"), _integer(dataset, "RadiusOfCircularShutter", 0)
    if len(centre) != 2 or radius < 1:
        return np.ones((height, width), np.bool_)
    rows, columns = np.ogrid[1 : height + 1, 1 : width + 1]
    inside: NDArray[np.bool_] = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    return inside


def _polygon(dataset: Dataset, height: int, width: int) -> NDArray[np.bool_]:
    values = _integers(dataset, "VerticesOfThePolygonalShutter")
    if len(values) < 6 or len(values) % 2:
        return np.ones((height, width), np.bool_)
    corners = [(column - 1, row - 1) for row, column in zip(values[::2], values[1::2], strict=True)]
    drawn = Image.new("1", (width, height))
    ImageDraw.Draw(drawn).polygon(corners, fill=1, outline=1)
    return np.array(drawn)


def _integers(dataset: Dataset, keyword: str) -> list[int]:
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return []
    values = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    return [int(each) for each in values]


def _integer(dataset: Dataset, keyword: str, default: int) -> int:
    values = _integers(dataset, keyword)
    return values[0] if values else default
