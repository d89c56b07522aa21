"""Heatmaps over radiographs.

The colour map is *plasma* (Nathaniel J. Smith and Stéfan van der Walt, 2015, CC0; matplotlib's default family):
perceptually uniform, rising in lightness, readable with red-green colour blindness, and at no point grey, so that it
stands out from the radiograph.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

OPACITY: Final = 0.65
"""Opacity of the hottest spot; it falls in proportion to the heat, so cold regions stay a plain radiograph."""

_STEPS: Final = 1024

# Every 16th colour of plasma, and the last; linear between them is within 3 of 255 of the full table.
PLASMA: Final = (
    (13, 8, 135),
    (49, 5, 151),
    (76, 2, 161),
    (102, 0, 167),
    (126, 3, 168),
    (149, 17, 161),
    (170, 35, 149),
    (188, 53, 135),
    (204, 71, 120),
    (217, 88, 106),
    (229, 107, 93),
    (240, 127, 79),
    (248, 148, 65),
    (253, 171, 51),
    (253, 195, 40),
    (249, 221, 37),
    (240, 249, 33),
)


def colourise(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colour values 0..1 of any shape ``[...]`` by plasma: ``float32 [..., 3]``, 0 to 255."""
    anchors = np.array(PLASMA, np.float32)
    where = np.clip(heat, 0, 1) * (len(anchors) - 1)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def overlay(pixels: NDArray[np.uint8], heatmap: NDArray[np.floating], *, opacity: float = OPACITY) -> NDArray[np.uint8]:
    """Lay a heatmap over a radiograph.

    Args:
        pixels: ``uint8 [H, W]``, 0 to 255.
        heatmap: float ``[h, w]``, 0 to 1, of any size; upsampled bilinearly to the radiograph.
        opacity: of the hottest spot, 0 to 1.

    Returns:
        RGB, ``uint8 [H, W, 3]``.

    Raises:
        ValueError: if an array has another shape, or the heatmap leaves 0..1.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 [H, W], got {pixels.dtype} {list(pixels.shape)}")
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise ValueError(f"heatmap must be [h, w], got {list(heatmap.shape)}")
    # Written so that NaN fails too; the slack is for float16 and quantised heatmaps.
    if not (heatmap.min() >= -1e-3 and heatmap.max() <= 1 + 1e-3):
        raise ValueError(f"heatmap must lie within 0..1, got {heatmap.min()}..{heatmap.max()}")
    small = Image.fromarray(np.clip(heatmap, 0, 1).astype(np.float32))
    heat = np.asarray(small.resize(pixels.shape[::-1], Image.Resampling.BILINEAR))
    # By a table of 1,024 steps and channel by channel: colours pixel by pixel took longer than the judgement.
    steps = np.linspace(0, 1, _STEPS, dtype=np.float32)
    paint = opacity * steps[:, None] * colourise(steps) + np.float32(0.5)  # so that cutting off rounds
    step = (heat * (_STEPS - 1) + 0.5).astype(np.int32)
    kept = (1 - np.float32(opacity) * heat) * pixels
    mixed = np.empty((*pixels.shape, 3), np.uint8)
    for channel in range(3):
        mixed[..., channel] = kept + paint[:, channel].take(step)
    return mixed
