"""Train one network by one recipe; stop at any moment and resume to the same result."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.datasets.manifest import manifest_hash
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.errors import TrainingError
from pneumoscope.files import fill_atomically
from pneumoscope.statistics.odds import balanced_nll, pneumonia_logit, roc_auc
from pneumoscope.training.batches import PixelSet, TrainingBatches, load_pixels
from pneumoscope.training.memory import keep_freed_memory
from pneumoscope.training.networks import build_network
from pneumoscope.training.pretrained import take_imagenet_weights
from pneumoscope.training.recipe import InitialWeights, Recipe
from pneumoscope.training.run_folder import EpochRecord, RunFolder

_LOOKED_AT = 600
"""Held-out images that are scored after every epoch; all of them are once training has ended."""


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar on standard error with the loss and the time left in the epoch."""

    def __init__(self, title: str, steps: int) -> None:
        super().__init__()
        self._bar = tqdm(total=steps, desc=title, unit="step", leave=False)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch == 0:
            keep_freed_memory()  # TensorFlow's generator of batches has just set glibc's threshold back
        self._bar.update()
        if logs:
            self._bar.set_postfix(loss=f"{logs['loss']:.4f}", refresh=False)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._bar.close()


@dataclass(frozen=True)
class _Sets:
    train: PixelSet
    held_out: dict[Role, PixelSet]


def train(
    rows: Sequence[LabelledImage],
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    shortcut: Mapping[str, float] | None = None,
) -> RunFolder:
    """Train and write a run folder.

    Args:
        rows: images with their roles; the time-ordered slice may be missing.
        recipe: what to train and how.
        out: the run folder, new unless ``resume``.
        seed: of weights, order, augmentation and dropout.
        resume: go on after the last whole epoch of an interrupted run. Epochs are seeded one by one, so the
            result is that of an unbroken run.
        shortcut: out-of-fold shortcut score of images by their SHA-256, for recipes that balance by it.

    Raises:
        TrainingError: the folder holds a run and ``resume`` was not given, or was begun with other settings.
        DataError: files cannot be read.
    """
    run = RunFolder(out)
    open_run(run, rows, recipe, seed, resume=resume)
    if len(run.read_log()) == recipe.epochs and run.best.is_file():
        return run
    keep_freed_memory()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    sets = _load_sets(rows, recipe)
    records = run.read_log()
    scores = None if shortcut is None else np.array([shortcut.get(row.sha256, np.nan) for row in sets.train.rows])
    model = _resumed(run, records) if records else _fresh_model(recipe, len(sets.train.pixels))
    tqdm.write(f"{model.name}: {model.count_params():,} parameters, {len(sets.train.pixels):,} images", file=sys.stderr)
    for epoch in range(len(records), recipe.epochs):
        records.append(_one_epoch(model, sets, recipe, seed, epoch, records, run, scores))
    return run


def _on_gpu() -> bool:
    if keras.backend.backend() == "torch":  # Keras has no list of devices for it
        import torch

        return bool(torch.cuda.is_available())
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX, where it has no such devices
        return False


def _load_sets(rows: Sequence[LabelledImage], recipe: Recipe) -> _Sets:
    by_role = {role: [row for row in rows if row.role is role] for role in Role}
    for role in (Role.TRAIN, Role.GROUPED):
        if not by_role[role]:
            raise TrainingError(f"no image has the role '{role}'; training needs {Role.TRAIN} and {Role.GROUPED}")
    rng = np.random.default_rng(0)
    for role in (Role.GROUPED, Role.ORDERED):  # enough to follow a training by
        chosen = sorted(rng.permutation(len(by_role[role]))[:_LOOKED_AT])
        by_role[role] = [by_role[role][index] for index in chosen]
    loaded = {
        role: load_pixels(each, what=f"{role} images", lung_field=recipe.lung_field)
        for role, each in by_role.items()
        if each
    }
    return _Sets(loaded.pop(Role.TRAIN), loaded)


def open_run(
    run: RunFolder,
    rows: Sequence[LabelledImage],
    recipe: Recipe,
    seed: int,
    *,
    resume: bool,
) -> None:
    """Write what a run is begun with, or check that it was begun with the same.

    Raises:
        TrainingError: the folder holds a run and ``resume`` was not given, or was begun with other settings.
    """
    if run.settings.exists():
        if not resume:
            raise TrainingError(f"{run.path}: holds a run already; give --resume to go on with it, or another --out")
        begun_with, begun_seed, settings = run.read_settings()
        if (begun_with, begun_seed) != (recipe, seed):
            raise TrainingError(f"{run.path}: was begun with another recipe or seed; resume with the same ones")
        if run.manifest_hash() != manifest_hash(rows):
            raise TrainingError(f"{run.path}: was begun with other images or roles; give the same --data and --fold")
        if settings["backend"] != keras.backend.backend():
            raise TrainingError(
                f"{run.path}: was begun on Keras backend {settings['backend']}; set KERAS_BACKEND to it"
            )
        return
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_manifest(rows)
    versions = {name: importlib.metadata.version(name) for name in ("pneumoscope", "keras", "numpy", "pillow")}
    run.write_settings(
        recipe,
        seed,
        {
            "backend": keras.backend.backend(),
            "manifest_sha256": run.manifest_hash(),
            "versions": {"python": platform.python_version(), **versions},
        },
    )


@contextmanager
def _training_precision() -> Iterator[None]:
    """Networks built inside compute in bfloat16 on a GPU; those built later, to predict or export, do not."""
    before = keras.config.dtype_policy()
    if _on_gpu():
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _fresh_model(recipe: Recipe, images: int) -> keras.Model:
    sizes = {stage.size for stage in recipe.stages}
    with _training_precision():
        network = build_network(recipe.network, classes=recipe.classes, size=sizes.pop() if len(sizes) == 1 else None)
    if recipe.weights is InitialWeights.IMAGENET:
        take_imagenet_weights(network)
    model = keras.Model(network.input, network.output["logits"], name=network.name)
    steps = recipe.epochs * max(1, images // recipe.batch_size)
    warmup = round(recipe.warmup * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate / 20 if warmup else recipe.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=recipe.weight_decay, use_ema=recipe.ema > 0, ema_momentum=recipe.ema or 0.99
    )
    kind = keras.losses.CategoricalCrossentropy if recipe.classes == 3 else keras.losses.BinaryCrossentropy
    # XLA takes half a minute to compile on a CPU and gains nothing there; Keras decides on an accelerator.
    jit = "auto" if _on_gpu() else keras.backend.backend() == "jax"
    model.compile(optimizer=optimizer, loss=kind(from_logits=True), jit_compile=jit)
    return model


def _resumed(run: RunFolder, records: list[EpochRecord]) -> keras.Model:
    checkpoint = run.last(len(records))
    try:
        return keras.models.load_model(checkpoint)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{checkpoint}: cannot be read ({error}); start anew in another folder") from error


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Start every epoch's dropout from its own seed: Keras does not save the generators' states."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, epoch << 16])


def estimate_batch_statistics(model: keras.Model, batches: TrainingBatches, count: int) -> None:
    """Batch normalisation's means and variances as the plain average over so many batches."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for index in range(min(count, len(batches))):
        for norm in norms:
            norm.momentum = index / (index + 1)
        model(batches[index][0], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _one_epoch(
    model: keras.Model,
    sets: _Sets,
    recipe: Recipe,
    seed: int,
    epoch: int,
    earlier: list[EpochRecord],
    run: RunFolder,
    shortcut: NDArray[np.float64] | None,
) -> EpochRecord:
    begin = time.perf_counter()
    _seed_dropout(model, seed, epoch)
    size = recipe.size_at(epoch)
    if earlier and earlier[-1].size != size:
        # Traced anew for each image size: a function traced for several computes in another order than the one
        # that a resumed run traces for one.
        model.make_train_function(force=True)
        model.make_predict_function(force=True)
    batches = TrainingBatches(sets.train, recipe, seed=seed, epoch=epoch, shortcut=shortcut)
    progress = _Progress(f"Epoch {epoch + 1}/{recipe.epochs} at {size} px", len(batches))
    # Where the recipe keeps a moving average, `fit` ends by putting it in the weights' place (Keras' `use_ema`).
    loss = model.fit(batches, verbose=0, shuffle=False, callbacks=[progress]).history["loss"][-1]
    if keras.backend.backend() == "jax":
        # There the weights share their memory with the moving average, which the next prediction would give away.
        for weight in model.trainable_weights:
            weight.assign(keras.ops.copy(weight))
    estimate_batch_statistics(model, batches, recipe.statistics_batches)
    record = EpochRecord(
        epoch=epoch + 1,
        size=size,
        loss=float(loss),
        **_held_out_scores(model, sets, size),
        learning_rate=float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        seconds=round(time.perf_counter() - begin, 1),
    )
    if record.epoch == recipe.epochs:
        fill_atomically(run.best, lambda file: full_network(model, recipe).save(file))
    fill_atomically(run.last(record.epoch), lambda file: model.save(file))
    run.write_log([*earlier, record])
    run.last(record.epoch - 1).unlink(missing_ok=True)
    _tensorboard(run.tensorboard, record)
    tqdm.write(_summary(record, recipe), file=sys.stderr)
    return record


def _held_out_scores(model: keras.Model, sets: _Sets, size: int) -> dict[str, float]:
    """Likelihood and AUC on each held-out role; NaN where it has no images."""
    scores: dict[str, float] = {}
    for role in (Role.GROUPED, Role.ORDERED):
        scores |= {f"{role}_nll": float("nan"), f"{role}_auc": float("nan")}
        if images := sets.held_out.get(role):
            logit = pneumonia_logit(predict_logits(model, images.seen(size)))
            scores[f"{role}_nll"] = balanced_nll(logit, images.positive)
            scores[f"{role}_auc"] = roc_auc(logit, images.positive)
    return scores


def _summary(record: EpochRecord, recipe: Recipe) -> str:
    return (
        f"epoch {record.epoch}/{recipe.epochs}  {record.size} px  loss {record.loss:.4f}  "
        f"grouped NLL {record.grouped_nll:.4f} AUC {record.grouped_auc:.4f}  "
        f"ordered NLL {record.ordered_nll:.4f} AUC {record.ordered_auc:.4f}  {record.seconds:.0f} s"
    )


def _tensorboard(folder: Path, record: EpochRecord) -> None:
    from tensorboard.summary import Writer

    writer = Writer(str(folder))
    for name, value in dataclasses.asdict(record).items():
        if name != "epoch":
            writer.add_scalar(name, float(value), record.epoch)
    writer.close()


def predict_logits(model: keras.Model, pixels: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
    """Logits of ``uint8 [N, H, W]`` images, in batches so that memory stays flat: ``float32 [N, classes]``."""
    parts: list[Any] = []
    for begin in range(0, len(pixels), batch_size):
        batch = pixels[begin : begin + batch_size, ..., None].astype(np.float32)
        parts.append(keras.ops.convert_to_numpy(model.predict_on_batch(batch)))
    return np.concatenate(parts).astype(np.float32)


def full_network(model: keras.Model, recipe: Recipe) -> keras.Model:
    """The network with all its outputs at the size that it is used at, with the weights of a training model."""
    network = build_network(recipe.network, classes=recipe.classes, size=recipe.network_size)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return network
