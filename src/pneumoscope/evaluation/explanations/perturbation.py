"""Insertion and deletion: does the score follow the pixels that a heatmap calls important?

Petsiuk, Das, Saenko, RISE, BMVC 2018, arXiv 1806.07421. Deletion replaces pixels, the hottest first, by the image's
mean grey; insertion puts them, the hottest first, on a canvas of that grey. A heatmap that names what the model uses
has a small area under the deletion curve and a large one under the insertion curve. Two things differ from RISE. It
inserts into a blurred copy, but a blurred radiograph, even of a healthy chest, passes for a consolidated one. It
measures the probability, but that is near 1 from the first tenth of the pixels on, so here it is the log odds.

Both make images that no model was trained on, so the areas are to be compared with those of heatmaps that know nothing
of the model: random maps, and a centred blob.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Heat = NDArray[np.float32]

STEPS: Final = 10
"""A tenth of the pixels at a time."""

BLOB: Final = 0.25
"""Standard deviation of the centred blob, as a share of each side."""

_EDGE: Final = 1e-7


@dataclass(frozen=True, eq=False)
class Curves:
    """Log odds of pneumonia, in nats, while pixels are put in or taken out.

    Attributes:
        insertion: ``float64 [STEPS + 1]`` at shares 0, 1 / STEPS, ... 1 of the pixels inserted.
        deletion: the same for pixels deleted.
    """

    insertion: NDArray[np.float64]
    deletion: NDArray[np.float64]


def area(curve: NDArray[np.float64]) -> float:
    """Area under a curve over the share of pixels 0..1, by the trapezium rule: its mean height."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def log_odds(probability: float) -> float:
    """Of a probability, in nats; cut where ``float32`` has no more digits, at some 16."""
    p = min(max(probability, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))


def upsampled(heat: Heat, shape: tuple[int, int]) -> Heat:
    """A heatmap ``[h, w]`` at another size, bilinear, as overlays show it."""
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


class Perturbation:
    """One image under insertion and deletion; the two ends are the same for every heatmap.

    Args:
        pixels: ``uint8 [H, W]`` at the graph's size.
        probability: gives P(pneumonia) of such an image.
    """

    def __init__(self, pixels: Pixels, probability: Callable[[Pixels], float]) -> None:
        self._pixels, self._probability = pixels, probability
        self._grey = np.full_like(pixels, round(float(pixels.mean())))
        self._whole, self._empty = self._score(pixels), self._score(self._grey)

    def _score(self, changed: Pixels) -> float:
        return log_odds(self._probability(changed))

    def curves(self, heat: Heat, random: np.random.Generator) -> Curves:
        """Insert and delete in the order of a heatmap.

        Args:
            heat: ``float32 [h, w]``, brought to the image's size here.
            random: orders pixels of equal heat, of which a rectified map has many.
        """
        hot = upsampled(heat, (self._pixels.shape[0], self._pixels.shape[1]))
        order = np.lexsort((random.random(hot.size), -hot.ravel()))
        rank = np.empty(hot.size, np.int64)
        rank[order] = np.arange(hot.size)
        share = (rank / hot.size).reshape(hot.shape)
        inner = [share < step / STEPS for step in range(1, STEPS)]
        inserted = [self._score(np.where(first, self._pixels, self._grey)) for first in inner]
        deleted = [self._score(np.where(first, self._grey, self._pixels)) for first in inner]
        return Curves(np.array([self._empty, *inserted, self._whole]), np.array([self._whole, *deleted, self._empty]))


def random_heat(shape: tuple[int, int], random: np.random.Generator) -> Heat:
    """A map of the model's resolution that knows nothing: ``float32 [h, w]``, uniform in 0 to 1."""
    return random.random(shape, np.float32)


def centre_blob(shape: tuple[int, int]) -> Heat:
    """A Gaussian in the middle: ``float32 [h, w]``, 0 to 1. What a model's heatmap must be better than."""
    y, x = (np.linspace(-0.5, 0.5, side) / BLOB for side in shape)
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype(np.float32)
