"""What can be told of a folder's labels without looking at the lungs: the shortcut score of every image.

The lung-field network finds the lungs, the rest of the picture is scored (:mod:`pneumoscope.statistics.shortcut`), and
beside it the four edges of the lungs' box alone, which say how much of the picture is chest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError, InputError
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.labels import Label
from pneumoscope.model.lungs import has_lungs, lung_box, lung_mask
from pneumoscope.statistics.shortcut import (
    SIDE,
    ShortcutSummary,
    conflicting,
    outside_lungs,
    scores_without_lungs,
    summarise,
)

THUMBNAIL = 8 * SIDE
"""Pictures are squashed to this many pixels a side before their cells are averaged."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What one picture shows outside its lungs.

    Attributes:
        features: ``float32 [SIDE * SIDE]`` of :func:`~pneumoscope.statistics.shortcut.outside_lungs`; ``None`` where no
            lungs were found.
        box: of the lungs, shares of width and height; ``None`` likewise.
    """

    features: NDArray[np.float32] | None
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, eq=False)
class FolderScores:
    """The shortcut scores of a folder.

    Attributes:
        images: those that were scored.
        scores: P(pneumonia) of each without its lungs, out of fold by patient, ``float64 [N]``.
        conflicting: whose score contradicts the label, ``bool [N]``.
        summary: AUC, interval, histogram.
        outline_auc: AUC of the same from the outline of what was left out, without a grey level.
        box_auc: AUC of the same from the four edges of the lungs' box.
        without_lungs: images in which none were found; they have no score.
    """

    images: tuple[LabelledImage, ...]
    scores: NDArray[np.float64]
    conflicting: NDArray[np.bool_]
    summary: ShortcutSummary
    outline_auc: float
    box_auc: float
    without_lungs: tuple[LabelledImage, ...]


def surroundings(pixels: NDArray[np.uint8]) -> Surroundings:
    """Find the lungs of grey pixels ``uint8 [H, W]`` and take what is outside them."""
    mask = lung_mask(pixels)
    if not has_lungs(mask):
        return Surroundings(None, None)
    small = shrink(pixels, width=THUMBNAIL, height=THUMBNAIL)
    return Surroundings(outside_lungs(small[None], mask[None])[0], lung_box(mask))


def look_around(images: Sequence[LabelledImage], *, jobs: int | None = None) -> list[Surroundings | None]:
    """:func:`surroundings` of every image, ``None`` for one that cannot be read; with a progress bar.

    Args:
        images: the files.
        jobs: threads; as many as there are processors by default.
    """

    def look(image: LabelledImage) -> Surroundings | None:
        try:
            return surroundings(read_image(image.path, target=THUMBNAIL).pixels)
        except InputError:
            return None

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        return list(tqdm(pool.map(look, images), total=len(images), desc="Finding lungs", unit="image"))


def score_surroundings(
    images: Sequence[LabelledImage], seen: Sequence[Surroundings | None], *, seed: int = 0
) -> FolderScores:
    """Score images by what is outside their lungs, each by a model fitted on other patients.

    Args:
        images: of both classes.
        seen: of each image; ``None`` where it could not be read, which leaves it out.
        seed: of folds and fitting.

    Raises:
        DataError: too few images or patients of a class, or nothing outside the lungs.
    """
    pairs = list(zip(images, seen, strict=True))
    without_lungs = tuple(image for image, found in pairs if found is not None and found.features is None)
    kept = [(image, found.features, found.box) for image, found in pairs if found and found.features is not None]
    if not kept:
        raise DataError(f"no lungs were found in any of {len(images)} images, so none can be scored without them")
    positive = np.array([image.label is Label.PNEUMONIA for image, _, _ in kept], bool)
    patients = [image.patient for image, _, _ in kept]

    def scored(features: NDArray[np.float32]) -> NDArray[np.float64]:
        return scores_without_lungs(features, positive, patients, seed=seed)

    features = np.stack([outside for _, outside, _ in kept])
    scores = scored(features)
    summary = summarise(scores, positive, patients, seed=seed)
    return FolderScores(
        images=tuple(image for image, _, _ in kept),
        scores=scores,
        conflicting=conflicting(scores, positive, summary.limit),
        summary=summary,
        outline_auc=_auc(positive, scored(np.isnan(features).astype(np.float32))),
        box_auc=_auc(positive, scored(np.array([box for _, _, box in kept], np.float32))),
        without_lungs=without_lungs,
    )


def _auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, scores))


def score_folder(images: Sequence[LabelledImage], *, seed: int = 0, jobs: int | None = None) -> FolderScores:
    """:func:`look_around` and :func:`score_surroundings` in one.

    Raises:
        DataError: as of the latter.
    """
    return score_surroundings(images, look_around(images, jobs=jobs), seed=seed)


def with_scores(images: Sequence[LabelledImage], found: FolderScores) -> list[LabelledImage]:
    """The images with their shortcut scores, to the five digits that a manifest keeps; unscored ones as they were."""
    known = {
        image.path: (round(float(score), 5), bool(against))
        for image, score, against in zip(found.images, found.scores, found.conflicting, strict=True)
    }
    return [
        replace(image, shortcut=known[image.path][0], conflicting=known[image.path][1])
        if image.path in known
        else image
        for image in images
    ]
