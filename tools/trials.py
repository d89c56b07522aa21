"""Ways to train that no recipe has, for ``tools/ablations.py``: tried here before the package learns one."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.statistics.odds import pneumonia_probability
from pneumoscope.training.augmentation import augment
from pneumoscope.training.batches import PixelSet, TrainingBatches, load_pixels
from pneumoscope.training.fit import estimate_batch_statistics, full_network, open_run, predict_logits, train
from pneumoscope.training.networks import build_network, pneumonet
from pneumoscope.training.networks.layers import ImageStandardization
from pneumoscope.training.recipe import Recipe, Stage
from pneumoscope.training.run_folder import EpochRecord, RunFolder

BLACK = 16.0
"""Grey level of 255 up to which a pixel may be unexposed: JPEG leaves a black frame at a few levels."""

TEMPERATURE = 0.2
"""Of the contrast."""


@keras.saving.register_keras_serializable("pneumoscope")
class ExposedFieldStandardization(ImageStandardization):
    """Standardisation over the exposed field: rows and columns that are black from end to end are left out.

    They become zero, as convolutions pad, so that a collimator's frame moves nothing inside it.
    """

    def call(self, inputs: Any) -> Any:
        """Standardise the exposed field of each image, ``float32 [N, h, w, 1]``."""
        ops = keras.ops
        lit = ops.cast(inputs > BLACK, inputs.dtype)
        field = ops.max(lit, axis=2, keepdims=True) * ops.max(lit, axis=1, keepdims=True)
        count = ops.maximum(ops.sum(field, axis=(1, 2, 3), keepdims=True), 1.0)
        centred = (inputs - ops.sum(inputs * field, axis=(1, 2, 3), keepdims=True) / count) * field
        variance = ops.sum(centred * centred, axis=(1, 2, 3), keepdims=True) / count
        return centred * ops.rsqrt(variance + 1.0)


def build_pneumonet_exposed(*, classes: int, size: int | None) -> keras.Model:
    """PneumoNet with ``ExposedFieldStandardization``."""
    with mock.patch.object(pneumonet, "ImageStandardization", ExposedFieldStandardization):
        return pneumonet.build_pneumonet(classes=classes, size=size)


class _EvenDraw(TrainingBatches):
    """All images of the rarer class and as many of the other, drawn anew each time."""

    def __init__(self, *arguments: Any, seed: int, epoch: int, **settings: Any) -> None:
        super().__init__(*arguments, seed=seed, epoch=epoch, **settings)
        positive = self._images.positive[self._order]
        rarer = min(positive.sum(), (~positive).sum())
        rank = np.where(positive, positive.cumsum(), (~positive).cumsum())
        # Mixed anew: those of the commoner class that are left stand at the beginning.
        self._order = np.random.default_rng([seed, epoch]).permutation(self._order[rank <= rarer])


class EvenSampling(TrainingBatches):
    """Normals and pneumonias alike often: two even draws, which together are about as long as a usual epoch."""

    def __init__(self, *arguments: Any, seed: int, epoch: int, **settings: Any) -> None:
        super().__init__(*arguments, seed=seed, epoch=epoch, **settings)
        self._draws = [_EvenDraw(*arguments, seed=seed, epoch=2 * epoch + half, **settings) for half in (0, 1)]

    def __len__(self) -> int:
        """Full batches of both draws."""
        return sum(len(draw) for draw in self._draws)

    def __getitem__(self, index: int) -> Any:
        """As of ``TrainingBatches``."""
        first, second = self._draws
        return first[index] if index < len(first) else second[index - len(first)]


class TwoViews(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of images without labels, each varied twice: all first views, then all second ones."""

    def __init__(self, images: PixelSet, recipe: Recipe, epoch: int) -> None:
        super().__init__(workers=1)
        self._images, self._recipe, self._epoch = images, recipe, epoch
        self._order = np.random.default_rng(epoch).permutation(len(images.pixels))

    def __len__(self) -> int:
        """Full batches."""
        return len(self._order) // self._recipe.batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels ``float32 [2 B, size, size, 1]``, and zeros: there is nothing to be told."""
        chosen = self._order[index * self._recipe.batch_size : (index + 1) * self._recipe.batch_size]
        views = [
            augment(self._images.pixels[image], self._recipe.augmentation, np.random.default_rng([epoch, int(image)]))
            for epoch in (2 * self._epoch, 2 * self._epoch + 1)
            for image in chosen
        ]
        return np.stack(views)[..., None].astype(np.float32), np.zeros(len(views), np.float32)


def pretrained_by_contrast(rows: Sequence[LabelledImage], recipe: Recipe, folder: Path, epochs: int) -> RunFolder:
    """A network that has learned on the training images, without labels, which two views are of one image.

    The loss is InfoNCE between both views of a batch, both ways (van den Oord et al. 2018, arXiv 1807.03748), with
    SimCLR's projection head and augmentation by the recipe (Chen et al. 2020, arXiv 2002.05709).

    Args:
        rows: images with their roles; those to train on are used.
        recipe: its network, augmentation, batch size and peak learning rate.
        folder: where the run goes; one that is there is taken as it is.
        epochs: how many.
    """
    run = RunFolder(folder)
    if run.best.exists():
        return run
    size, batch_size = recipe.final_size, recipe.batch_size
    network = build_network(recipe.network, classes=recipe.classes, size=None)
    hidden = keras.layers.Dense(256, activation="relu")(keras.layers.GlobalAveragePooling2D()(network.output["maps"]))
    model = keras.Model(network.input, keras.layers.Dense(128)(hidden))

    def info_nce(_: Any, projected: Any) -> Any:
        first, second = (keras.ops.normalize(part, axis=1) for part in (projected[:batch_size], projected[batch_size:]))
        alike = keras.ops.matmul(first, keras.ops.transpose(second)) / TEMPERATURE
        own = keras.ops.arange(batch_size)
        both = (alike, keras.ops.transpose(alike))
        return sum(keras.losses.sparse_categorical_crossentropy(own, each, from_logits=True) for each in both) / 2

    images = load_pixels([row for row in rows if row.role is Role.TRAIN], size)
    steps = epochs * (len(images.pixels) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay), info_nce)
    for epoch in range(epochs):
        loss = model.fit(TwoViews(images, recipe, epoch), verbose=0, shuffle=False).history["loss"][-1]
        tqdm.write(f"contrast, epoch {epoch + 1}/{epochs}: loss {loss:.3f}", file=sys.stderr)
    _write_log(run, rows, recipe, epochs, loss)
    full_network(network, recipe).save(run.best)
    return run


def _write_log(run: RunFolder, rows: Sequence[LabelledImage], recipe: Recipe, epochs: int, loss: float) -> None:
    """Begin a run's folder with the one line of a training that no validation has judged."""
    open_run(run, rows, recipe, seed=0, resume=True)
    none = math.nan
    size = recipe.final_size
    run.write_log([EpochRecord(epochs, size, loss, none, none, none, none, none, learning_rate=0.0, seconds=none)])


def averaged_over_cycles(rows: Sequence[LabelledImage], recipe: Recipe, folder: Path, cycles: int) -> RunFolder:
    """Stochastic weight averaging: the plain average of the weights at the ends of cycles of the learning rate.

    Izmailov et al. 2018, arXiv 1803.05407. A cycle is an epoch with the recipe's whole schedule; the epochs before
    the cycles are one training of their own. The batch statistics are estimated anew.

    Args:
        rows: images with their roles.
        recipe: what to train; its epochs are those before the cycles and the cycles.
        folder: where the average goes, the trainings beside it; one that is there is taken as it is.
        cycles: how many weights are averaged.
    """
    run = RunFolder(folder)
    if run.last(recipe.epochs).exists():
        return run
    size = recipe.final_size
    stages = [Stage(recipe.epochs - cycles, size), *[Stage(1, size)] * cycles]
    ends: list[RunFolder] = []
    for number, stage in enumerate(stages):
        part = dataclasses.replace(recipe, stages=(stage,))
        beside = folder.with_name(f"{folder.name}-{number}")
        ends.append(train(rows, part, beside, seed=number, resume=True, initial=ends[-1] if ends else None))
    network = build_network(recipe.network, classes=recipe.classes, size=size)
    of_each = zip(*(end.load_best().get_weights() for end in ends[1:]), strict=True)
    network.set_weights([np.mean(weights, axis=0) for weights in of_each])
    model = keras.Model(network.input, network.output["logits"])
    images = load_pixels([row for row in rows if row.role is Role.TRAIN], size)
    estimate_batch_statistics(model, TrainingBatches(images, recipe, seed=0, epoch=0), recipe.statistics_batches)
    _write_log(run, rows, recipe, recipe.epochs, math.nan)
    model.save(run.last(recipe.epochs))
    return run


def without_suspicious(rows: Sequence[LabelledImage], halves: Sequence[RunFolder]) -> list[LabelledImage]:
    """The rows without training images whose label is likely wrong, by confident learning.

    Northcutt et al. 2021, Confident Learning, doi 10.1613/jair.1.12125, as cleanlab does it.

    Args:
        rows: images with their roles.
        halves: two runs, each of which validates on the half of the patients that the other trained on.
    """
    from cleanlab.filter import find_label_issues

    judged, probabilities = [], []
    for run in halves:
        own = [row for row in run.read_manifest() if row.role is Role.GROUPED]
        last = run.read_log()[-1]
        model = keras.models.load_model(run.last(last.epoch), compile=False)
        pixels = load_pixels(own, last.size).pixels
        judged += own
        probabilities.append(pneumonia_probability(predict_logits(model, pixels)))
    pneumonia = np.concatenate(probabilities)
    labels = np.array([row.label.value == "PNEUMONIA" for row in judged], int)
    issues = find_label_issues(labels, np.stack([1 - pneumonia, pneumonia], axis=1))
    suspicious: set[Path] = {row.path for row, issue in zip(judged, issues, strict=True) if issue}
    return [row for row in rows if row.role is not Role.TRAIN or row.path not in suspicious]
