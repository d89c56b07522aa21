"""Is an image usable at all? The part of refusal that needs no trained model.

Each limit is set well outside what the radiographs of the training and validation splits show (doi
10.17632/rscbjbr9sj; all 5,232 at 224 x 224 pixels and 116 of them also at native size): none of these 5,348
images is refused. Statistics are taken on the image averaged down to 128 to 255 pixels on its shorter side, so
that sensor noise and JPEG blocks count little. Whether a usable picture shows a chest is for the model's
typicality to say.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.imaging.radiograph import Radiograph

MIN_SIDE: Final = 128
"""Pixels. The smallest native radiograph measured is 445 x 140."""

MAX_SIDE_RATIO: Final = 4.0
"""Longer side by shorter. Radiographs: at most 3.18, 99.9 % below 1.9."""

BLANK_SPAN: Final = 2.0
MIN_SPAN: Final = 32.0
"""Grey levels from the 1st to the 99th percentile. Radiographs: at least 85. A constant with faint noise: 3."""

MAX_CHROMA: Final = 12.0
"""See ``Radiograph.chroma``. Radiographs: 0.0, also those stored as RGB. Eleven colour photographs (samples of
scikit-learn, scikit-image and matplotlib): 28 to 113."""

MIN_GREY_LEVELS: Final = 24.0
"""Effective number of grey levels, 2 to the entropy of the histogram. Radiographs: at least 61. Charts,
silhouettes and checkerboards: 3 to 10."""

MAX_WHITE: Final = 0.4
"""Share of pixels at 248 or more. Radiographs: at most 0.10. Text pages: 0.59 to 0.67."""

MAX_BLACK: Final = 0.8
"""Share of pixels at 7 or less. Radiographs: at most 0.35."""

MIN_SMOOTHNESS: Final = 0.90
"""Correlation of neighbouring pixels. Radiographs: at least 0.966. Noise 0, grass and brick 0.45 to 0.60, text pages
0.54 to 0.88."""

MIN_POLARITY: Final = -0.25
"""Correlation with ``MEAN_CHEST``. Radiographs: at least 0.33. So none is refused as it is, and all 5,348 are
when inverted. An adult chest from another hospital (``RG1_UNCR`` of pydicom-data): 0.19."""

# The mean radiograph: the 5,232 images shrunk to 8 x 8 pixels, each standardised, averaged, mirrored and averaged
# again; in tenths of a standard deviation.
MEAN_CHEST: Final = (
    (-10, -5, 1, 7, 7, 1, -5, -10),
    (-10, 0, 2, 6, 6, 2, 0, -10),
    (-12, 0, 0, 7, 7, 0, 0, -12),
    (-14, -1, 0, 9, 9, 0, -1, -14),
    (-14, -3, 1, 11, 11, 1, -3, -14),
    (-15, -4, 2, 11, 11, 2, -4, -15),
    (-15, 0, 8, 13, 13, 8, 0, -15),
    (-13, 6, 12, 15, 15, 12, 6, -13),
)


def assess(image: Radiograph) -> tuple[str, ...]:
    """Say why an image cannot be judged.

    Args:
        image: any decoded image.

    Returns:
        Reasons, one sentence each, most telling first; empty if the image is usable.
    """
    size = f"{image.width} x {image.height} pixels"
    if min(image.width, image.height) < MIN_SIDE:
        return (f"{size}, at least {MIN_SIDE} x {MIN_SIDE} needed",)
    small = _average_down(image.pixels)
    span = float(np.subtract(*np.percentile(small, [99, 1])))
    if span <= BLANK_SPAN:
        return (f"blank: nearly every pixel is at grey level {int(np.median(small))}",)
    if span < MIN_SPAN:
        return (f"nearly constant: {span:.0f} of 255 grey levels in use, at least {MIN_SPAN:.0f} needed",)
    reasons = []
    ratio = max(image.width, image.height) / min(image.width, image.height)
    if ratio > MAX_SIDE_RATIO:
        reasons.append(f"{size}, one side {ratio:.1f} times the other; at most {MAX_SIDE_RATIO:.0f} is judged")
    if image.chroma > MAX_CHROMA:
        reasons.append(f"a colour picture (chroma {image.chroma:.0f}, at most {MAX_CHROMA:.0f}), not a radiograph")
    return (*reasons, *_assess_greys(small))


def _average_down(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, min(pixels.shape) // MIN_SIDE)
    return np.asarray(Image.fromarray(pixels).reduce(factor))


def _assess_greys(small: NDArray[np.uint8]) -> list[str]:
    shares = np.bincount(small.ravel(), minlength=256) / small.size
    used = shares[shares > 0]
    levels = float(2 ** -(used * np.log2(used)).sum())
    white, black = float(shares[248:].sum()), float(shares[:8].sum())
    smoothness, polarity = _smoothness(small), _polarity(small)
    reasons = []
    if levels < MIN_GREY_LEVELS:
        reasons.append(f"hardly any grey levels ({levels:.0f} in effect): a drawing, text or screenshot")
    if white > MAX_WHITE:
        reasons.append(f"overexposed or a printed page: {white:.0%} of it is white")
    if black > MAX_BLACK:
        reasons.append(f"underexposed or mostly empty: {black:.0%} of it is black")
    if smoothness < MIN_SMOOTHNESS:
        reasons.append(f"noise, text or texture: neighbouring pixels correlate by only {smoothness:.2f}")
    if polarity < MIN_POLARITY:
        reasons.append(
            f"bright and dark lie as in an inverted chest radiograph (correlation {polarity:.2f}): "
            "invert it, or check that it shows a chest from the front"
        )
    return reasons


def _smoothness(small: NDArray[np.uint8]) -> float:
    """Mean correlation of vertical and horizontal neighbours, -1 to 1."""
    grey = small.astype(np.float32)
    return (_correlation(grey[1:], grey[:-1]) + _correlation(grey[:, 1:], grey[:, :-1])) / 2


def _polarity(small: NDArray[np.uint8]) -> float:
    """Correlation with the mean chest radiograph, -1 to 1."""
    mean = np.array(MEAN_CHEST, np.float32)
    tiny = np.asarray(Image.fromarray(small).resize(mean.shape[::-1], Image.Resampling.BILINEAR), np.float32)
    return _correlation(tiny, mean)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
