"""Maps of what is inside a box, laid into the frame of the whole picture: as a model's graph does it, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_picture(heat: NDArray[np.float32], box: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Lay a map onto ``side`` x ``side`` cells of the whole picture, zero outside the box.

    The same numbers as ``training.lungs.crop.MapInPicture``, which a test holds it to, without the highest value being
    brought back to 1.

    Args:
        heat: ``float32 [h, w]`` of what is inside the box.
        box: ``x0, y0, x1, y1`` as shares of the picture's width and height, ``float32 [4]``.
        side: cells across and down.

    Returns:
        ``float32 [side, side]``.
    """
    x0, y0, x1, y1 = (float(share) for share in box)
    rows = _weights(y0, y1, heat.shape[0], side)
    columns = _weights(x0, x1, heat.shape[1], side)
    return np.asarray(rows @ heat @ columns.T, np.float32)


def _weights(begin: float, end: float, source: int, target: int) -> NDArray[np.float64]:
    """``[target, source]``: interpolation at each cell's centre, times the share of the cell that the part covers."""
    cells, size = np.arange(target), end - begin
    covered = np.minimum(end, (cells + 1) / target) - np.maximum(begin, cells / target)
    place = np.clip(((cells + 0.5) / target - begin) / size * source - 0.5, 0, source - 1)
    width = max(source / (size * target), 1.0)
    weights = np.maximum(0, 1 - np.abs(np.arange(source)[None] - place[:, None]) / width)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-6)
    return np.asarray(weights * np.clip(covered * target, 0, 1)[:, None])
