"""Members of a recipe: networks that are each trained on all folds but one, their out-of-fold scores, their union."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import roles_for_fold
from pneumoscope.errors import DataError, TrainingError
from pneumoscope.files import fill_atomically, make_folder, read_csv, write_atomically
from pneumoscope.labels import Label
from pneumoscope.statistics.odds import pneumonia_logit
from pneumoscope.statistics.shortcut import shortcut_scores
from pneumoscope.training import fit
from pneumoscope.training.batches import load_pixels
from pneumoscope.training.lungs.shipped import find_lungs, has_shipped_weights
from pneumoscope.training.networks.joined import join
from pneumoscope.training.out_of_fold import OutOfFold, write_out_of_fold
from pneumoscope.training.recipe import Recipe
from pneumoscope.training.run_folder import EpochRecord, RunFolder
from pneumoscope.training.sampling import largest_source, source_of


def train_recipe(
    images: Sequence[LabelledImage],
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    only: int | None = None,
) -> RunFolder:
    """Train every member of a recipe, score each fold by the member that did not see it, and join the members.

    Args:
        images: with their folds; see :func:`~pneumoscope.datasets.splits.assign_roles`.
        recipe: what to train.
        out: the run folder; member K has ``out / fold-K``.
        seed: of the first member; each further one has the next.
        resume: go on with an interrupted run.
        only: train this member and stop, so that several can be trained at once; a call with ``resume`` and without
            it then joins them.

    Raises:
        TrainingError, DataError: see :func:`~pneumoscope.training.fit.train`.
    """
    run, folds = RunFolder(out), _held_out_folds(images, recipe)
    if only is not None and only not in folds:
        raise TrainingError(f"member {only}: the recipe's members do not see the folds {', '.join(map(str, folds))}")
    scores = _shortcut_scores(images, run) if recipe.shortcut_balance else None
    if only is None:
        fit.open_run(run, roles_for_fold(images, folds[0]), recipe, seed, resume=resume)
    for number, fold in enumerate(folds):
        if only not in (None, fold):
            continue
        member = run.member(fold)
        begun = resume and member.settings.exists()
        rows = roles_for_fold(images, fold)
        fit.train(rows, recipe, member.path, seed=seed + number, resume=begun, shortcut=scores)
    if only is not None:
        return run.member(only)
    members = {fold: run.member(fold) for fold in folds}
    write_out_of_fold(run.out_of_fold, score_out_of_fold(images, members, scores or _shortcut_scores(images, run)))
    if len(members) == 1:
        fill_atomically(run.best, lambda file: shutil.copyfile(members[folds[0]].best, file))
    else:
        network = join([member.load_best() for member in members.values()], name=recipe.name)
        fill_atomically(run.best, lambda file: network.save(file))
    run.write_log([_mean(records) for records in zip(*(member.read_log() for member in members.values()), strict=True)])
    return run


def score_out_of_fold(
    images: Sequence[LabelledImage], members: Mapping[int, RunFolder], shortcut: dict[str, float]
) -> OutOfFold:
    """Log odds of the images of every member's fold by that member.

    Args:
        images: with their folds.
        members: trained runs, by the fold that each did not see.
        shortcut: score of each image by its SHA-256, as far as it has one.
    """
    recipe = next(iter(members.values())).read_settings()[0]
    held_out, logits = [], []
    for fold, member in members.items():
        rows = [row for row in roles_for_fold(images, fold) if row.role is Role.GROUPED]
        pictures = load_pixels(rows, what=f"fold {fold}", lung_field=recipe.lung_field)
        network = member.load_best()
        scorer = keras.Model(network.input, network.output["logits"])
        logits.append(pneumonia_logit(fit.predict_logits(scorer, pictures.seen(recipe.network_size))))
        held_out += rows
    return OutOfFold(
        paths=tuple(_short_path(row) for row in held_out),
        sources=tuple(source_of(row) or largest_source(images) for row in held_out),
        positive=np.array([row.label is Label.PNEUMONIA for row in held_out]),
        subtypes=tuple(row.subtype or "" for row in held_out),
        patients=tuple(row.patient for row in held_out),
        folds=np.array([row.fold for row in held_out], np.intp),
        logits=np.concatenate(logits),
        shortcut=np.array([shortcut.get(row.sha256, np.nan) for row in held_out]),
    )


def _held_out_folds(images: Sequence[LabelledImage], recipe: Recipe) -> list[int]:
    """The fold that each member does not see: the one that is held out as the images are listed, then the next ones."""
    there = sorted({row.fold for row in images if row.fold is not None})
    if len(there) < recipe.members:
        raise TrainingError(f"{recipe.name}: has {recipe.members} members, and the images {len(there)} folds")
    first = next((row.fold for row in images if row.role is Role.GROUPED and row.fold is not None), there[0])
    begin = there.index(first)
    return [there[(begin + number) % len(there)] for number in range(recipe.members)]


def _shortcut_scores(images: Sequence[LabelledImage], run: RunFolder) -> dict[str, float]:
    """Score of each image of the largest source by its SHA-256, made once; none where there are too few images."""
    if run.shortcut.is_file():
        return {row["sha256"]: float(row["score"]) for _, row in read_csv(run.shortcut).rows}
    if not has_shipped_weights():
        return {}
    largest = largest_source(images)
    rows = [row for row in images if (source_of(row) or largest) == largest]
    pictures = load_pixels(rows, what="images for the shortcut score")
    patients = [row.patient for row in rows]
    try:
        scores = shortcut_scores(pictures.pixels, find_lungs(pictures.pixels).masks, pictures.positive, patients)
    except DataError as error:
        tqdm.write(f"no shortcut scores: {error}", file=sys.stderr)
        return {}
    lines = [f"{row.sha256},{score:.5f}\n" for row, score in zip(rows, scores, strict=True)]
    make_folder(run.path)
    write_atomically(run.shortcut, "".join(["sha256,score\n", *lines]).encode())
    return {row.sha256: round(float(score), 5) for row, score in zip(rows, scores, strict=True)}


def _short_path(image: LabelledImage) -> str:
    """As it stands in its data folder: the last parts that tell it from every other."""
    parts = image.path.parts
    return "/".join(parts[-3:] if len(parts) > 2 and parts[-3] in ("train", "val") else parts[-2:])


def _mean(records: Sequence[EpochRecord]) -> EpochRecord:
    """One line of the log for the same epoch of all members."""

    def mean(name: str) -> float:
        return statistics.fmean(float(getattr(record, name)) for record in records)

    first = records[0]
    return EpochRecord(
        epoch=first.epoch,
        size=first.size,
        loss=mean("loss"),
        grouped_nll=mean("grouped_nll"),
        grouped_auc=mean("grouped_auc"),
        ordered_nll=mean("ordered_nll"),
        ordered_auc=mean("ordered_auc"),
        learning_rate=first.learning_rate,
        seconds=sum(record.seconds for record in records),
    )
