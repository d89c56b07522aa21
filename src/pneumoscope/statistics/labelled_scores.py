"""Out-of-fold log odds with labels, and the groups of images that figures are told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics.weighting import class_weights, effective_size, overlap_weights

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

LABELS: Final = ("NORMAL", "PNEUMONIA")
FOLDS: Final = 5
CONTRADICTS: Final = 0.7
"""A normal above this shortcut score, and a pneumonia below it, is framed as the other class is."""
NEUTRAL, CONTRADICTING = "framing tells nothing", "framing contradicts the label"


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Log odds of N images by a network that was not trained on their patients.

    Attributes:
        logits: ``float64 [N]``, in nats, pneumonia positive.
        labels: ``int64 [N]``, 0 or 1.
        patients: N keys.
        populations: N names, such as "children"; each has both classes.
        shortcut: P(pneumonia) by framing alone, out of fold, ``float64 [N]``, NaN where not known.
        weights: for the fit, ``float64 [N]``, above 0, in place of those that :func:`neutral_weights` makes; either
            class is still given one half.

    Raises:
        DataError: columns of unequal length, log odds that are not finite, or a population of one class.
    """

    logits: Floats
    labels: Labels
    patients: Sequence[str]
    populations: Sequence[str]
    shortcut: Floats | None = None
    weights: Floats | None = None

    def __post_init__(self) -> None:
        columns = (self.labels, self.patients, self.populations, self.shortcut, self.weights)
        if any(column is not None and len(column) != len(self.logits) for column in columns):
            raise DataError("scores: columns of unequal length")
        if not np.isfinite(self.logits).all():
            raise DataError("scores: a log odds is not finite")
        for name in dict.fromkeys(self.populations):
            share = float(self.labels[self.members(name)].mean())
            if not 0 < share < 1:
                raise DataError(f"{name}: all images are labelled {LABELS[int(share)]}; both classes are needed")

    def members(self, population: str) -> NDArray[np.bool_]:
        """Who belongs to a population: ``bool [N]``."""
        members: NDArray[np.bool_] = np.asarray(self.populations) == population
        return members

    def part(self, chosen: NDArray[np.bool_]) -> LabelledScores:
        """Some of the images."""
        rows = [int(row) for row in np.flatnonzero(chosen)]
        return LabelledScores(
            self.logits[rows],
            self.labels[rows],
            [self.patients[row] for row in rows],
            [self.populations[row] for row in rows],
            None if self.shortcut is None else self.shortcut[rows],
            None if self.weights is None else self.weights[rows],
        )


@dataclass(frozen=True, eq=False)
class Group:
    """Images that figures are told of.

    Attributes:
        name: in words.
        members: ``bool [N]``.
        weights: ``float64 [N]``, 0 outside; ``None`` where all count alike.
        promised: whether the band must keep its promise here.
    """

    name: str
    members: NDArray[np.bool_]
    weights: Floats | None
    promised: bool

    def class_balanced(self, labels: Labels) -> Floats:
        """Its weights with either class at one half: ``float64 [N]``."""
        if self.weights is not None:
            return self.weights
        weights = np.zeros(len(labels))
        weights[self.members] = class_weights(labels[self.members])
        return weights


def groups_of(scores: LabelledScores) -> Iterator[Group]:
    """The populations, each as it is, and where its framing is known also neutral and contradicting."""
    for name in dict.fromkeys(scores.populations):
        members = scores.members(name)
        yield Group(name, members, None, promised=True)
        if scores.shortcut is None or not np.isfinite(scores.shortcut[members]).all():
            continue
        weights = np.zeros(len(members))
        weights[members] = overlap_weights(scores.labels[members], scores.shortcut[members])
        yield Group(f"{name}, {NEUTRAL}", members, weights, promised=True)
        against = np.where(scores.labels == 1, scores.shortcut < CONTRADICTS, scores.shortcut > CONTRADICTS)
        conflicting = members & against
        if 0 < scores.labels[conflicting].sum() < conflicting.sum():
            yield Group(f"{name}, {CONTRADICTING}", conflicting, None, promised=False)


def neutral_weights(scores: LabelledScores) -> Floats:
    """Weights for the fit: in each population either class at one half and framing without meaning; sum 1.

    A population counts by its effective number of images.
    """
    if scores.weights is not None:
        sums = np.bincount(scores.labels, weights=scores.weights, minlength=2)
        return np.asarray(scores.weights / (2 * sums[scores.labels]), dtype=np.float64)
    best: dict[str, Group] = {}
    for group in groups_of(scores):
        if group.promised:
            best[group.name.removesuffix(f", {NEUTRAL}")] = group  # the neutral one comes second
    total = np.zeros(len(scores.logits))
    for group in best.values():
        weights = group.class_balanced(scores.labels)
        total += weights * effective_size(weights)
    return np.asarray(total / total.sum(), dtype=np.float64)


def least_images(scores: LabelledScores) -> int:
    """Images in the smallest class of any population."""
    strata = list(zip(scores.populations, scores.labels.tolist(), strict=True))
    return min(Counter(strata).values())


def least_patients(scores: LabelledScores) -> int:
    """Patients in the smallest class of any population."""
    keys = set(zip(scores.populations, scores.labels.tolist(), scores.patients, strict=True))
    return min(Counter((population, label) for population, label, _ in keys).values())


def fold_numbers(scores: LabelledScores, folds: int = FOLDS) -> NDArray[np.int64]:
    """Folds by patient, alike in class and population: ``int64 [N]``.

    Raises:
        DataError: too few patients of a class for as many folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if (least := least_patients(scores)) < folds:
        raise DataError(f"{least} patients of a class, at least {folds} are needed to measure what is fitted")
    strata = np.array([f"{name}|{label}" for name, label in zip(scores.populations, scores.labels, strict=True)])
    keys = [f"{name}|{patient}" for name, patient in zip(scores.populations, scores.patients, strict=True)]
    number = np.zeros(len(strata), dtype=np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for fold, (_, rows) in enumerate(splitter.split(strata, strata, keys)):
        number[rows] = fold
    return number
