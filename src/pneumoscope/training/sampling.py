"""Which images each batch shows: classes alike within every source, so that the source tells nothing of the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError
from pneumoscope.labels import Label
from pneumoscope.training.recipe import Recipe


def source_of(image: LabelledImage) -> str:
    """Name of the data set; empty where nobody said."""
    return "" if image.origin is None else image.origin.name


def largest_source(images: Sequence[LabelledImage]) -> str:
    """Name of the data set with the most images; images of which nobody said where they are from count to it."""
    names = Counter(name for name in map(source_of, images) if name)
    return names.most_common(1)[0][0] if names else ""


def draw_by_source(
    images: Sequence[LabelledImage],
    recipe: Recipe,
    rng: np.random.Generator,
    shortcut: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """The images of one epoch in the order in which batches take them.

    Every batch has ``recipe.adults`` of its places for the sources other than the largest, and as many normals as
    pneumonias of each source; a class runs through all of its images before it begins anew.

    Args:
        images: N of them.
        recipe: its ``adults``, ``shortcut_balance`` and ``batch_size`` count.
        rng: the only source of chance.
        shortcut: out-of-fold P(pneumonia) of each image without its lungs, ``float64 [N]``, NaN where unknown.

    Returns:
        Places in ``images``: as many as fill ``N // batch_size`` batches, at least one.

    Raises:
        DataError: a source has images of one class only.
    """
    batches = max(1, len(images) // recipe.batch_size)
    columns, largest = [], largest_source(images)
    names = [source_of(image) or largest for image in images]
    for source, places in _places(names, recipe).items():
        for label in Label:
            members = np.array([i for i, name in enumerate(names) if name == source and images[i].label is label])
            if not len(members):
                raise DataError(f"source '{source}': has no {label} images; each source must have both classes")
            each = places // 2 + (places % 2 if label is Label.PNEUMONIA else 0)
            odds = None if shortcut is None else _overlap(shortcut[members], label, recipe.shortcut_balance)
            columns.append(_drawn(members, batches * each, rng, odds).reshape(batches, each))
    return np.concatenate(columns, axis=1).ravel()


def _places(names: Sequence[str], recipe: Recipe) -> dict[str, int]:
    """Places of each source in a batch; the smaller ones share theirs evenly."""
    (largest, _), *others = Counter(names).most_common()
    places = {source: round(recipe.adults * recipe.batch_size / len(others)) for source, _ in others}
    return {largest: recipe.batch_size - sum(places.values()), **places}


def _overlap(shortcut: NDArray[np.float64], label: Label, balance: float) -> NDArray[np.float64] | None:
    """Probability of each image of one class: P(the other class) by framing, in part; even where it is unknown."""
    if not balance or np.isnan(shortcut).any():
        return None
    weight = shortcut if label is Label.NORMAL else 1 - shortcut
    weight = np.clip(weight, 1e-3, None)
    return np.asarray((1 - balance) / len(weight) + balance * weight / weight.sum(), np.float64)


def _drawn(
    members: NDArray[np.intp], count: int, rng: np.random.Generator, odds: NDArray[np.float64] | None
) -> NDArray[np.intp]:
    if odds is not None:
        return rng.choice(members, count, p=odds)
    rounds = -(-count // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:count]
