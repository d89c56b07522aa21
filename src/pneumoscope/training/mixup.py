"""Mixed training images: mixup (Zhang et al. 2018, arXiv 1710.09412), CutMix (Yun et al. 2019, arXiv 1905.04899)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.training.recipe import Recipe

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """What one training step sees.

    Attributes:
        pixels: ``float32 [B, size, size, 1]``, 0..255.
        targets: ``float32 [B, classes]``.
        weights: of each image in the loss, ``float32 [B]``.
    """

    pixels: Values
    targets: Values
    weights: Values


def mixed(batch: Batch, recipe: Recipe, rng: np.random.Generator) -> Batch:
    """Every image mixed with the one at the other end of the batch, by mixup or CutMix as the recipe says.

    The loss is linear in the target, so it becomes the same mixture of both images' weighted losses.
    """
    if not (recipe.mixup or recipe.cutmix):
        return batch
    if rng.random() * (bool(recipe.mixup) + bool(recipe.cutmix)) < bool(recipe.mixup):
        share = float(rng.beta(recipe.mixup, recipe.mixup))
        pixels = share * batch.pixels + (1 - share) * batch.pixels[::-1]
    else:
        pixels, share = _cut(batch.pixels, float(rng.beta(recipe.cutmix, recipe.cutmix)), rng)
    own, other = share * batch.weights, (1 - share) * batch.weights[::-1]
    weights = own + other
    targets = (own[:, None] * batch.targets + other[:, None] * batch.targets[::-1]) / weights[:, None]
    return Batch(pixels.astype(np.float32), targets.astype(np.float32), weights.astype(np.float32))


def _cut(pixels: Values, share: float, rng: np.random.Generator) -> tuple[Values, float]:
    """A rectangle of about ``1 - share`` of the area from the other image, and the share that is really left."""
    height, width = pixels.shape[1:3]
    side = np.sqrt(1 - share)
    centre = rng.uniform(0, (height, width))
    low = np.clip(np.round(centre - side * np.array([height, width]) / 2), 0, (height, width)).astype(int)
    high = np.clip(np.round(centre + side * np.array([height, width]) / 2), 0, (height, width)).astype(int)
    inside = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
    cut = pixels.copy()
    cut[inside] = pixels[::-1][inside]
    return cut, 1 - float(np.prod(high - low)) / (height * width)
