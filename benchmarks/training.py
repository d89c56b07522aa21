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
import numpy as np
from tqdm import tqdm

from common import write_result
from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.training.batches import TrainingBatches, load_pixels
from pneumoscope.training.fit import _fresh_model
from pneumoscope.training.memory import keep_freed_memory
from pneumoscope.training.recipe import load_recipe

STEPS, ROUNDS = 16, 12
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
    """Both ways in turn in one process, in an order drawn by lot; the share is the median over the turns."""
    keep_freed_memory()  # as `train` does
    keras.utils.set_random_seed(0)
    recipe = load_recipe("pneumonet")  # the one that varies most
    images = find_images(Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224", ["train"])
    every = len(images) // (STEPS * recipe.batch_size)
    pixels = load_pixels(assign_roles(images[::every][: STEPS * recipe.batch_size]))
    model = _fresh_model(recipe, len(pixels.pixels))
    batches = TrainingBatches(pixels, recipe, seed=0, epoch=0)
    fixed = FixedBatch(batches)
    seconds_a_step(model, fixed)
    order = np.random.default_rng(0)
    both = {"with_pipeline": batches, "fixed_batch": fixed}
    turns = [
        {name: seconds_a_step(model, both[name]) for name in order.permutation(list(both))}
        for _ in tqdm(range(ROUNDS), unit="turn")
    ]
    shares = [turn["fixed_batch"] / turn["with_pipeline"] for turn in turns]
    draws = order.choice(shares, (2000, ROUNDS))
    share, interval = statistics.median(shares), np.percentile(np.median(draws, axis=1), [2.5, 97.5]).tolist()
    write_result(
        "training",
        {
            "seconds_a_step": turns,
            "share": share,
            "share_ci95": interval,
            "backend": keras.backend.backend(),
            "batch_size": recipe.batch_size,
        },
        headline=[
            (
                f"training speed, share of the same step on a fixed batch (95 % interval over {ROUNDS} turns)",
                f"{share:.0%} ({interval[0]:.0%} to {interval[1]:.0%})",
                f"at least {GOAL:.0%}",
            )
        ],
    )


if __name__ == "__main__":
    main()
