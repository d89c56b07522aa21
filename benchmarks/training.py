"""Does the input pipeline keep the processor on the network? Steps a second with it, against a fixed batch.

PNEUMOSCOPE_DATA=DATA python benchmarks/training.py
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from common import write_result
from pneumoscope.data.layout import find_images
from pneumoscope.data.splits import assign_roles
from pneumoscope.training.fit import _fresh_model
from pneumoscope.training.memory import keep_freed_memory
from pneumoscope.training.pipeline import TrainingBatches, load_pixels
from pneumoscope.training.recipe import load_recipe

STEPS, ROUNDS = 16, 4
GOAL = 0.95


class FixedBatch(keras.utils.PyDataset):  # type: ignore[misc]
    """One augmented batch, again and again."""

    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__(workers=1)
        self._batch = batches[0]

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Any:
        return self._batch


def seconds_a_step(model: keras.Model, batches: keras.utils.PyDataset) -> float:
    """Mean seconds of a training step in an epoch of ``STEPS``, as ``train`` runs it."""
    begin = time.perf_counter()
    model.fit(batches, verbose=0, shuffle=False)
    return (time.perf_counter() - begin) / STEPS


def main() -> None:
    """Alternate both ways in one process and write the ratio of their medians."""
    keep_freed_memory()  # as `train` does
    keras.utils.set_random_seed(0)
    recipe = load_recipe("pneumonet-robust")  # the one that varies most
    images = find_images(Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224", ["train"])
    every = len(images) // (STEPS * recipe.batch_size)
    pixels = load_pixels(assign_roles(images[::every][: STEPS * recipe.batch_size]))
    model = _fresh_model(recipe, len(pixels.pixels))
    batches = TrainingBatches(pixels, recipe, seed=0, epoch=0)
    fixed = FixedBatch(batches)
    seconds_a_step(model, fixed)
    pairs = [(seconds_a_step(model, batches), seconds_a_step(model, fixed)) for _ in range(ROUNDS)]
    with_pipeline, fixed_batch = (statistics.median(times) for times in zip(*pairs, strict=True))
    share = fixed_batch / with_pipeline
    write_result(
        "training",
        {
            "seconds_a_step_with_pipeline": with_pipeline,
            "seconds_a_step_on_a_fixed_batch": fixed_batch,
            "share": share,
            "backend": keras.backend.backend(),
            "batch_size": recipe.batch_size,
        },
        headline=[("training speed, share of the same step on a fixed batch", f"{share:.0%}", f"at least {GOAL:.0%}")],
    )


if __name__ == "__main__":
    main()
