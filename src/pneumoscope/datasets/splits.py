"""Splits by patient: k folds, and the time-ordered slice that imitates the official test split.

The official test split holds the first numbers of each counter, so it is a shift in time and equipment; a
random validation split is optimistic about it. The time-ordered slice is made the same way from the
training data: the lowest numbers left in each counter.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.errors import DataError
from pneumoscope.files import sha256_of
from pneumoscope.labels import Label


def ordered_patients(images: Sequence[LabelledImage], fraction: float) -> frozenset[str]:
    """Patients with the lowest numbers of each counter, about ``fraction`` of its images.

    Args:
        images: those whose source does not number them in time are never in the slice.
        fraction: share of each counter's images, 0 to 1.
    """
    per_counter: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        if image.order is not None:
            counter, number = image.order
            per_counter[counter][number].append(image.patient)
    chosen: set[str] = set()
    for numbers in per_counter.values():
        wanted = fraction * sum(len(keys) for keys in numbers.values())
        taken = 0
        for number in sorted(numbers):
            if taken >= wanted:
                break
            chosen.update(numbers[number])
            taken += len(numbers[number])
    return frozenset(chosen)


def drop_byte_duplicates(
    images: Sequence[LabelledImage], hashes: Sequence[str]
) -> tuple[list[tuple[LabelledImage, str]], list[tuple[Path, Path]]]:
    """Keep the first of each group of byte-identical files.

    Returns:
        The kept images with their hashes, and ``(dropped, kept)`` pairs.

    Raises:
        DataError: two files with the same bytes carry different labels.
    """
    first: dict[str, LabelledImage] = {}
    kept: list[tuple[LabelledImage, str]] = []
    dropped: list[tuple[Path, Path]] = []
    for image, digest in zip(images, hashes, strict=True):
        twin = first.setdefault(digest, image)
        if twin is image:
            kept.append((image, digest))
        elif twin.label is not image.label:
            raise DataError(f"{image.path} and {twin.path}: the same bytes under two labels; remove the wrong one")
        else:
            dropped.append((image.path, twin.path))
    return kept, dropped


def assign_roles(
    images: Sequence[LabelledImage],
    *,
    seed: int = 0,
    folds: int = 10,
    fold: int = 0,
    ordered_fraction: float = 0.1,
    hashes: Sequence[str] | None = None,
) -> list[LabelledImage]:
    """Split by patient into training, grouped validation and the time-ordered slice.

    Byte-identical files are dropped first, so they cannot stand on two sides. Images whose shortcut score contradicts
    their label are spread evenly over the folds.

    Args:
        images: all labelled images that may be used, with their shortcut scores or without.
        seed: of the grouped folds.
        folds: number of grouped folds; the validation share is ``1 / folds``.
        fold: which fold is the grouped validation, ``0 .. folds - 1``.
        ordered_fraction: share of each counter in the time-ordered slice.
        hashes: SHA-256 of each image's bytes where already known; else the files are read.

    Returns:
        One row per kept image, in the order given. There is no time-ordered slice where no source orders its images.

    Raises:
        DataError: a file cannot be read, labels contradict, or too few patients for the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if not 0 <= fold < folds:
        raise DataError(f"fold {fold}: with {folds} folds it must be 0 to {folds - 1}")
    kept, _ = drop_byte_duplicates(images, hashes or [image.sha256 or sha256_of(image.path) for image in images])
    first_patients = ordered_patients([image for image, _ in kept], ordered_fraction)
    rest = [index for index, (image, _) in enumerate(kept) if image.patient not in first_patients]
    patients = [kept[index][0].patient for index in rest]
    _check_enough_patients([kept[index][0] for index in rest], folds)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    strata = _strata([kept[index][0] for index in rest], folds)
    fold_of: dict[int, int] = {}
    for number, (_, held_out) in enumerate(splitter.split(rest, strata, patients)):
        fold_of.update((rest[position], number) for position in held_out)
    rows = [
        dataclasses.replace(image, sha256=digest, role=Role.ORDERED, fold=fold_of.get(index))
        for index, (image, digest) in enumerate(kept)
    ]
    return roles_for_fold(rows, fold)


def roles_for_fold(rows: Sequence[LabelledImage], fold: int) -> list[LabelledImage]:
    """The same split with another of its folds as the grouped validation, for cross-validation.

    Raises:
        DataError: the rows do not record their folds, or there is no such fold.
    """
    folds = {row.fold for row in rows if row.fold is not None}
    if fold not in folds:
        there = f"folds {min(folds)} to {max(folds)}" if folds else "no folds recorded"
        raise DataError(f"fold {fold}: the manifest has {there}; make one with `pneumoscope data split`")

    def role_of(row: LabelledImage) -> Role | None:
        if row.fold is None:
            return row.role
        return Role.GROUPED if row.fold == fold else Role.TRAIN

    return [dataclasses.replace(row, role=role_of(row)) for row in rows]


def _check_enough_patients(images: Sequence[LabelledImage], folds: int) -> None:
    for label in Label:
        patients = len({image.patient for image in images if image.label is label})
        if patients < folds:
            raise DataError(
                f"{patients} {label} patients outside the time-ordered slice are too few for {folds} folds; "
                "use fewer folds or a smaller slice"
            )


def _strata(images: Sequence[LabelledImage], folds: int) -> list[str]:
    """Strata of the folds: the source and in it the subtype; a source too small for the folds joins the largest."""
    patients: dict[str, dict[Label, set[str]]] = defaultdict(lambda: {label: set() for label in Label})
    for image in images:
        patients[_source(image)][image.label].add(image.patient)
    large = {name for name, classes in patients.items() if all(len(keys) >= folds for keys in classes.values())}
    sizes = Counter(map(_source, images)).most_common()
    largest = sizes[0][0] if sizes else ""
    groups = [_source(image) if _source(image) in large else largest for image in images]
    strata = [""] * len(images)
    for group in dict.fromkeys(groups):
        rows = [row for row, its in enumerate(groups) if its == group]
        for row, stratum in zip(rows, _subtypes([images[row] for row in rows], folds), strict=True):
            strata[row] = f"{group}/{stratum}"
    return _with_conflicts(images, strata, folds)


def _with_conflicts(images: Sequence[LabelledImage], strata: Sequence[str], folds: int) -> list[str]:
    """Conflicting images are strata of their own, where there are enough for every fold to get one."""
    against = Counter(stratum for image, stratum in zip(images, strata, strict=True) if image.conflicting)
    return [
        f"{stratum}/conflicting" if image.conflicting and against[stratum] >= folds else stratum
        for image, stratum in zip(images, strata, strict=True)
    ]


def _source(image: LabelledImage) -> str:
    return "" if image.origin is None else image.origin.name


def _subtypes(images: Sequence[LabelledImage], folds: int) -> list[str]:
    """The subtype; an unknown or very rare one counts as the commoner pneumonia."""
    counts = Counter(image.subtype for image in images if image.label is Label.PNEUMONIA and image.subtype)
    commoner = counts.most_common(1)[0][0] if counts else Label.PNEUMONIA.value
    rare = {subtype for subtype, count in counts.items() if count < folds}
    return [
        Label.NORMAL.value
        if image.label is Label.NORMAL
        else (image.subtype if image.subtype and image.subtype not in rare else commoner)
        for image in images
    ]
