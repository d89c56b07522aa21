"""Recipes that start from others: those are trained first, into folders inside the run's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.errors import TrainingError
from pneumoscope.files import fill_atomically
from pneumoscope.statistics.odds import balanced_nll, pneumonia_logit, roc_auc
from pneumoscope.training import fit
from pneumoscope.training.batches import PixelSet, load_pixels
from pneumoscope.training.networks import build_network
from pneumoscope.training.networks.pair import MEMBERS
from pneumoscope.training.recipe import Recipe, load_recipe
from pneumoscope.training.run_folder import EpochRecord, RunFolder


def train_recipe(
    rows: Sequence[LabelledImage],
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    initial: Sequence[RunFolder] = (),
    teachers: Sequence[RunFolder] = (),
    parts_folder: Path | None = None,
) -> RunFolder:
    """Train a recipe and, before it, whatever it starts from or is taught by.

    Args:
        rows: as of :func:`~pneumoscope.training.fit.train`, as ``recipe``, ``seed`` and ``resume``.
        recipe: what to train.
        out: the run folder.
        seed: of every part.
        resume: go on with an interrupted run.
        initial: finished runs to start from in place of those that the recipe names.
        teachers: the same for those that teach.
        parts_folder: where the runs of other recipes go, each to ``parts_folder / NAME``, once however many
            need it; ``out`` by default.

    Raises:
        TrainingError: see :func:`~pneumoscope.training.fit.train`; or the parts do not fit together.
    """
    folder = parts_folder or out

    def trained(names: Sequence[str]) -> list[RunFolder]:
        runs = []
        for name in names:
            inner = folder / name
            before = (inner / "run.json").exists()
            runs.append(train_recipe(rows, load_recipe(name), inner, seed=seed, resume=before, parts_folder=folder))
        return runs

    parts = list(initial) or trained(recipe.starts_from)
    if not recipe.stages:
        return combine(rows, recipe, parts, out, seed=seed, resume=resume)
    if len(parts) > 1:
        raise TrainingError(f"{recipe.name}: trains on from one run, {len(parts)} were given")
    return fit.train(
        rows,
        recipe,
        out,
        seed=seed,
        resume=resume,
        initial=parts[0] if parts else None,
        teachers=list(teachers) or trained(recipe.teachers),
    )


def combine(
    rows: Sequence[LabelledImage],
    recipe: Recipe,
    parts: Sequence[RunFolder],
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
) -> RunFolder:
    """Join finished runs of the two members of ``networks.pair`` into one network; nothing is trained.

    Their logits are averaged after each was divided by its spread over the validation images, so that the more
    extreme network does not outvote the other.

    Raises:
        TrainingError: not one run of each member, or they were validated on other images than these.
    """
    members = {part.read_settings()[0].network: part for part in parts}
    network = build_network(recipe.network, classes=recipe.classes)
    if len(parts) != len(MEMBERS) or set(members) != set(MEMBERS):
        given = ", ".join(part.read_settings()[0].network for part in parts)
        raise TrainingError(f"{recipe.name}: joins one run each of {', '.join(MEMBERS)}; {given} were given")
    run, begin = RunFolder(out), time.perf_counter()
    fit.open_run(run, rows, recipe, seed, resume=resume, initial=parts)
    for part in parts:
        if part.manifest_hash() != run.manifest_hash():
            raise TrainingError(f"{part.path}: was begun with other images or roles than {out}")
    validation = {
        role: load_pixels([row for row in rows if row.role is role], what=f"{role} images")
        for role in (Role.GROUPED, Role.ORDERED)
    }
    _fill(network, {name: members[name].load_best() for name in MEMBERS}, list(validation.values()))
    record = _judged(network, validation, begin)
    fill_atomically(run.best, lambda file: network.save(file))
    run.write_log([record])
    return run


def _fill(network: keras.Model, members: dict[str, keras.Model], validation: Sequence[PixelSet]) -> None:
    """Copy the members' weights, and stack their classifiers in the order of ``MEMBERS``, as the maps are."""
    kernels, biases = [], []
    for name, member in members.items():
        for layer in network.get_layer(name).layers:
            if layer.weights:
                layer.set_weights(member.get_layer(layer.name).get_weights())
        logits = np.concatenate([_logits(member, images) for images in validation])
        share = 1 / (len(members) * float(pneumonia_logit(logits).std()))
        kernel, bias = member.get_layer("classifier").get_weights()
        kernels.append(kernel * share)
        biases.append(bias * share)
    network.get_layer("classifier").set_weights([np.concatenate(kernels), np.sum(biases, axis=0)])


def _logits(network: keras.Model, images: PixelSet) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return fit.predict_logits(keras.Model(network.input, network.output["logits"]), images.pixels)


def _judged(network: keras.Model, validation: dict[Role, PixelSet], begin: float) -> EpochRecord:
    """The one line of the log; there is no training loss."""
    scores = {}
    for role, images in validation.items():
        logit = pneumonia_logit(_logits(network, images))
        scores[f"{role.value}_nll"] = balanced_nll(logit, images.positive)
        scores[f"{role.value}_auc"] = roc_auc(logit, images.positive)
    return EpochRecord(
        epoch=1,
        size=validation[Role.GROUPED].pixels.shape[1],
        loss=float("nan"),
        **scores,
        val_loss=(scores["grouped_nll"] + scores["ordered_nll"]) / 2,
        learning_rate=0.0,
        seconds=round(time.perf_counter() - begin, 1),
    )
