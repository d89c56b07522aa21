"""Does the input pipeline keep the processor on the network? Steps a second with it, against a fixed batch.

PNEUMOSCOPE_DATA=DATA python benchmarks/training.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
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

STEPS, ROUNDS = 6, 5
GOAL = 0.95


def seconds_a_step(model: keras.Model, batches: Sequence[Any] | TrainingBatches) -> float:
    """Mean seconds of ``STEPS`` training steps."""
    begin = time.perf_counter()
    for index in range(STEPS):
        model.train_on_batch(*batches[index])
    return (time.perf_counter() - begin) / STEPS


def main() -> None:
    """Alternate both ways in one process and write the ratio of their medians."""
    keep_freed_memory()  # as `train` does
    keras.utils.set_random_seed(0)
    images = find_images(Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224", ["train"])[::20]
    recipe = load_recipe("pneumonet")
    pixels = load_pixels(assign_roles(images))
    model = _fresh_model(recipe, len(pixels.pixels))
    batches = TrainingBatches(pixels, recipe, seed=0, epoch=0)
    fixed = [batches[0]] * STEPS
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
