"""Train the lung-field network; stop at any moment and resume to the same result."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.errors import TrainingError
from pneumoscope.files import fill_atomically, write_atomically
from pneumoscope.imaging.resize import shrink
from pneumoscope.training.lungs.masks import Judge, MaskedPictures, dice, hold_out, read_masked_pictures
from pneumoscope.training.lungs.recipe import NAME, LungFieldRecipe
from pneumoscope.training.lungs.variation import vary
from pneumoscope.training.networks.lung_field import SIDE, build_lung_field

STEPS_AN_EPOCH = 100
"""Steps between checkpoints."""

_HOLD_OUT_SEED = 1
"""The same pictures are held out whatever the seed of the training, so that two trainings can be compared."""


class LungFieldRun:
    """Paths of one run: settings, log, checkpoint, trained network, figures on what was held out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "run.json"
        self.log = path / "log.csv"
        self.last = path / "last.keras"
        self.network = path / "lung-field.keras"
        self.report = path / "held-out.json"


class VariedBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Varied batches of one epoch; batch ``b`` of epoch ``e`` is the same in every run of the same seed."""

    def __init__(self, pictures: MaskedPictures, *, batch_size: int, steps: int, seed: int, epoch: int) -> None:
        """Take the pictures; each batch is drawn anew from all of them."""
        super().__init__(workers=1)
        cv2.setNumThreads(1)  # the cores are the network's
        self._pictures, self._batch_size, self._steps = pictures, batch_size, steps
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        """Batches of the epoch."""
        return self._steps

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Grey levels ``float32 [B, SIDE, SIDE, 1]`` 0..255 and masks 0..1 of the same shape."""
        rng = np.random.default_rng([self._seed, self._epoch, index])
        chosen = rng.choice(len(self._pictures.pixels), self._batch_size, replace=False)
        varied = [vary(self._pictures.pixels[i], self._pictures.masks[i], rng) for i in chosen]
        grey, lungs = (np.stack(planes)[..., None] for planes in zip(*varied, strict=True))
        return grey, lungs


@keras.saving.register_keras_serializable("pneumoscope")  # type: ignore[untyped-decorator]
def overlap_loss(lungs: Any, logits: Any) -> Any:
    """Binary cross-entropy plus one less the soft Dice of each picture (Milletari et al. 2016, arXiv 1606.04797).

    Args:
        lungs: masks ``float32 [N, h, w, 1]``, 0 to 1.
        logits: log odds of the same shape.
    """
    entropy = ops.mean(ops.binary_crossentropy(lungs, logits, from_logits=True), axis=(1, 2))
    probability = ops.sigmoid(logits)
    both = ops.sum(probability * lungs, axis=(1, 2, 3))
    sizes = ops.sum(probability, axis=(1, 2, 3)) + ops.sum(lungs, axis=(1, 2, 3))
    # Twenty pixels are added, so that a picture without lungs asks for few and not for none at any price.
    return ops.mean(entropy) + ops.mean(1 - (2 * both + 20) / (sizes + 20))


def train_lung_field(
    data_dir: Path,
    recipe: LungFieldRecipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    judge: Judge | None = None,
) -> LungFieldRun:
    """Train the network and write its run folder.

    Args:
        data_dir: pictures and masks as :func:`~pneumoscope.training.lungs.masks.read_masked_pictures` takes them.
        recipe: how to train.
        out: the run folder, new unless ``resume``.
        seed: of weights, order and variation.
        resume: go on after the last hundred steps of an interrupted run, to the result of an unbroken one.
        judge: a trained network that masks are checked by; see there.

    Raises:
        TrainingError: the folder holds a run and ``resume`` was not given, or was begun with other settings.
        DataError: there are no masks, or too few.
    """
    pictures = read_masked_pictures(data_dir, judge)
    _say(pictures)
    run = LungFieldRun(out)
    train, held = hold_out(pictures, min(recipe.held_out, len(pictures.names) // 4), _HOLD_OUT_SEED)
    _open(run, pictures, recipe, seed, len(held), resume=resume)
    keras.utils.set_random_seed(seed)
    records = _read_log(run)
    model = keras.models.load_model(run.last) if records else _compiled(recipe)
    taught = pictures.take(train)
    while (done := sum(int(record["steps"]) for record in records)) < recipe.steps:
        steps = min(STEPS_AN_EPOCH, recipe.steps - done)
        records.append(_one_epoch(model, taught, recipe, seed, len(records), steps))
        fill_atomically(run.last, lambda file: model.save(file))
        _write_log(run, records)
        tqdm.write(f"step {done + steps}/{recipe.steps}  loss {records[-1]['loss']}", file=sys.stderr)
    network = build_lung_field()
    network.set_weights(model.get_weights())
    fill_atomically(run.network, lambda file: network.save(file))
    _write_json(run.report, held_out_report(network, pictures.take(held)))
    return run


def held_out_report(network: keras.Model, pictures: MaskedPictures) -> dict[str, Any]:
    """Dice of the network's masks with those drawn, as plain values."""
    small = [np.stack([shrink(p, width=SIDE, height=SIDE) for p in each]) for each in (pictures.pixels, pictures.masks)]
    scores = dice(lung_probability(network, small[0]) > 0.5, small[1] > 127)
    order = np.argsort(scores)
    return {
        "n": len(scores),
        "patients": len(set(pictures.patients)),
        "dice": {
            "mean": float(scores.mean()),
            "median": float(np.median(scores)),
            "percentile_5": float(np.percentile(scores, 5)),
            "min": float(scores.min()),
        },
        "worst": {pictures.names[i]: float(scores[i]) for i in order[:5]},
    }


def lung_probability(network: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """P(lung) of every pixel of ``uint8 [N, SIDE, SIDE]`` pictures: ``float32 [N, SIDE, SIDE]``."""
    batches = [
        ops.convert_to_numpy(network.predict_on_batch(pixels[i : i + 64, ..., None].astype(np.float32)))
        for i in range(0, len(pixels), 64)
    ]
    logits = np.concatenate(batches)[..., 0]
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _compiled(recipe: LungFieldRecipe) -> keras.Model:
    warmup = round(recipe.warmup * recipe.steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate / 20 if warmup else recipe.learning_rate,
        decay_steps=max(1, recipe.steps - warmup),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    model = build_lung_field()
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=1.0)
    model.compile(optimizer=optimizer, loss=overlap_loss, jit_compile=keras.backend.backend() == "jax")
    return model


def _one_epoch(
    model: keras.Model, pictures: MaskedPictures, recipe: LungFieldRecipe, seed: int, epoch: int, steps: int
) -> dict[str, Any]:
    begin = time.perf_counter()
    size = min(recipe.batch_size, len(pictures.names))
    batches = VariedBatches(pictures, batch_size=size, steps=steps, seed=seed, epoch=epoch)
    loss = model.fit(batches, verbose=0, shuffle=False).history["loss"][-1]
    return {"steps": steps, "loss": round(float(loss), 5), "seconds": round(time.perf_counter() - begin, 1)}


def _say(pictures: MaskedPictures) -> None:
    tqdm.write(
        f"{len(pictures.names)} masks, {len(pictures.faults)} left out, {pictures.unmasked} pictures without one",
        file=sys.stderr,
    )
    for fault in pictures.faults:
        tqdm.write(f"- {fault}", file=sys.stderr)


def _open(
    run: LungFieldRun, pictures: MaskedPictures, recipe: LungFieldRecipe, seed: int, held: int, *, resume: bool
) -> None:
    versions = {name: importlib.metadata.version(name) for name in ("pneumoscope", "keras", "numpy", "pillow")}
    settings = {
        "recipe": {"name": NAME, **dataclasses.asdict(recipe)},
        "seed": seed,
        "backend": keras.backend.backend(),
        "masks": {
            "used": len(pictures.names),
            "held_out": held,
            "left_out": list(pictures.faults),
            "pictures_without": pictures.unmasked,
            "sha256": hashlib.sha256(pictures.pixels.tobytes() + pictures.masks.tobytes()).hexdigest(),
        },
        "versions": versions,
    }
    if not run.settings.exists():
        run.path.mkdir(parents=True, exist_ok=True)
        _write_json(run.settings, settings)
        return
    if not resume:
        raise TrainingError(f"{run.path}: holds a run already; give --resume to go on with it, or another --out")
    begun = json.loads(run.settings.read_text("utf-8"))
    changed = [key for key in ("recipe", "seed", "backend", "masks") if begun.get(key) != settings[key]]
    if changed:
        raise TrainingError(f"{run.path}: was begun with another {', '.join(changed)}; resume with the same")


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def _read_log(run: LungFieldRun) -> list[dict[str, Any]]:
    if not run.log.exists():
        return []
    with run.log.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _write_log(run: LungFieldRun, records: list[dict[str, Any]]) -> None:
    lines = ["steps,loss,seconds", *(f"{r['steps']},{r['loss']},{r['seconds']}" for r in records)]
    write_atomically(run.log, ("\n".join(lines) + "\n").encode())
