"""The shortcut score of any image: a model without lungs that was fitted once on the training children and ships.

It says how a patient is framed, compared with normals and pneumonias of the Kermany training data. An image that it was
fitted on is known by its bytes and has the score that it got out of fold, by a model fitted on other patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.audit.shortcut import look_around
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.files import fill_atomically
from pneumoscope.statistics.shortcut import Boosting

FILE: Final = "reference.npz"
WHAT: Final = (
    "gradient boosting on what is outside the lungs, fitted on the Kermany training children; theirs are out of fold"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShortcutReference:
    """Trees in plain arrays, so that no pickle is read, and the scores of the images that they were fitted on.

    Attributes:
        columns: ``int16 [C]``, the features that the trees see.
        feature: ``int16 [nodes]`` into the columns.
        threshold: ``float64 [nodes]``: left where a feature is at most this.
        left: ``int32 [nodes]``; -1 in a leaf.
        right: ``int32 [nodes]``; -1 in a leaf.
        missing_left: ``bool [nodes]``: where a missing feature goes.
        value: ``float64 [nodes]``: what a leaf adds to the log odds.
        roots: ``int32 [trees]``.
        baseline: log odds before the first tree.
        limit: scores from here on speak for pneumonia.
        known: ``uint64 [N]`` in ascending order, the first eight bytes of the images' SHA-256.
        known_scores: ``float64 [N]`` of those, out of fold.
    """

    columns: NDArray[np.int16]
    feature: NDArray[np.int16]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: Floats
    roots: NDArray[np.int32]
    baseline: float
    limit: float
    known: NDArray[np.uint64]
    known_scores: Floats

    @classmethod
    def of(cls, fitted: Boosting, *, limit: float, hashes: Sequence[str], scores: Floats) -> Self:
        """Take scikit-learn's model apart.

        Args:
            fitted: on all images.
            limit: share of pneumonias among them.
            hashes: SHA-256 of each, 64 hex digits.
            scores: of each, out of fold.
        """
        trees = [predictor.nodes for (predictor,) in fitted.model._predictors]
        starts = np.cumsum([0, *(len(nodes) for nodes in trees[:-1])])
        nodes = np.concatenate(trees)
        shift = np.repeat(starts, [len(tree) for tree in trees])
        leaf = nodes["is_leaf"].astype(bool)
        keys = np.array([_key(digest) for digest in hashes], np.uint64)
        order = np.argsort(keys)
        return cls(
            columns=fitted.columns.astype(np.int16),
            feature=nodes["feature_idx"].astype(np.int16),
            threshold=nodes["num_threshold"].astype(np.float64),
            left=np.where(leaf, -1, nodes["left"] + shift).astype(np.int32),
            right=np.where(leaf, -1, nodes["right"] + shift).astype(np.int32),
            missing_left=nodes["missing_go_to_left"].astype(bool),
            value=nodes["value"].astype(np.float64),
            roots=starts.astype(np.int32),
            baseline=float(np.ravel(fitted.model._baseline_prediction)[0]),
            limit=limit,
            known=keys[order],
            known_scores=np.asarray(scores, np.float64)[order],
        )

    def scores(self, features: NDArray[np.float32]) -> Floats:
        """P(pneumonia) of features ``float32 [N, F]`` (NaN is missing) -> ``float64 [N]``."""
        seen = features[:, self.columns]
        rows = np.arange(len(seen))
        log_odds = np.full(len(seen), self.baseline)
        for root in self.roots:
            node = np.full(len(seen), root)
            while (inner := self.left[node] >= 0).any():
                value = seen[rows, self.feature[node]]
                goes_left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
                node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
            log_odds += self.value[node]
        return np.asarray(1 / (1 + np.exp(-log_odds)), np.float64)

    def out_of_fold(self, sha256: str | None) -> float | None:
        """The score of an image that the reference was fitted on, by its hash; ``None`` for any other."""
        if not sha256:
            return None
        key = np.uint64(_key(sha256))
        place = int(np.searchsorted(self.known, key))
        return float(self.known_scores[place]) if place < len(self.known) and self.known[place] == key else None

    def save(self, path: Path) -> None:
        """Write the arrays."""
        fill_atomically(path, lambda temporary: np.savez_compressed(temporary, **vars(self)))

    @classmethod
    def load(cls, path: Any) -> Self:
        """Read what :meth:`save` wrote; nothing in it is executed."""
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            values = {name: saved[name] for name in saved.files}
        baseline, limit = float(values.pop("baseline")), float(values.pop("limit"))
        return cls(**values, baseline=baseline, limit=limit)


def _key(sha256: str) -> int:
    return int(sha256[:16], 16)


@cache
def shipped_reference() -> ShortcutReference:
    """The one that comes with the package."""
    return ShortcutReference.load(files("pneumoscope.datasets.audit").joinpath(FILE))


def reference_scores(
    images: Sequence[LabelledImage], hashes: Sequence[str | None] | None = None, *, jobs: int | None = None
) -> Floats:
    """Shortcut scores of images, ``float64 [N]``; NaN for one that cannot be read or shows no lungs.

    Args:
        images: a manifest's own scores are taken where it has them.
        hashes: SHA-256 of each file, where known.
        jobs: threads; as many as there are processors by default.
    """
    reference = shipped_reference()
    scores = np.full(len(images), np.nan)
    for row, image in enumerate(images):
        known = image.shortcut
        if known is None:
            known = reference.out_of_fold(image.sha256 or (hashes[row] if hashes else None))
        if known is not None:
            scores[row] = known
    rest = np.flatnonzero(np.isnan(scores))
    if len(rest):
        seen = look_around([images[int(row)] for row in rest], jobs=jobs)
        there = [
            (row, found.features) for row, found in zip(rest, seen, strict=True) if found and found.features is not None
        ]
        if there:
            scores[[row for row, _ in there]] = reference.scores(np.stack([features for _, features in there]))
    return scores
