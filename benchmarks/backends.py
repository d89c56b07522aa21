"""Which Keras backend trains fastest on this machine: seconds a training step of each network.

    PNEUMOSCOPE_DATA=DATA python benchmarks/backends.py

Needs JAX and PyTorch besides the ``train`` extra. One augmented batch of radiographs again and again, at the 224
pixels of the contract, with each network's own recipe as ``train`` compiles it. A process has one backend, so each
turn is a process of its own; the backends take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

BACKENDS = ("tensorflow", "torch", "jax")
RECIPES = ("trio", "pneumonet", "baseline-cnn")
STEPS, ROUNDS = 6, 2
LONG = 20.0
"""Seconds after which a turn does not begin another step: JAX takes half a minute for one of Lite0's."""


def seconds_a_step(recipe_name: str) -> float:
    """Of this process's backend, compiling left out."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from pneumoscope.datasets.registry import find_images
    from pneumoscope.datasets.splits import assign_roles
    from pneumoscope.training.batches import TrainingBatches, load_pixels
    from pneumoscope.training.fit import _fresh_model
    from pneumoscope.training.memory import keep_freed_memory
    from pneumoscope.training.recipe import load_recipe

    keep_freed_memory()  # as `train` does
    keras.utils.set_random_seed(0)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    recipe = load_recipe(recipe_name)
    images = find_images(Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224", ["train"])
    rows = assign_roles(images)
    pixels = load_pixels(rows[:: len(rows) // recipe.batch_size][: recipe.batch_size])
    batch, targets, weights = TrainingBatches(pixels, recipe, seed=0, epoch=0)[0]
    model = _fresh_model(recipe, len(pixels.pixels))

    model.train_on_batch(batch, targets, sample_weight=weights)  # compiles
    taken: list[float] = []
    while len(taken) < STEPS and sum(taken) < LONG:
        begin = time.perf_counter()
        float(model.train_on_batch(batch, targets, sample_weight=weights))
        taken.append(time.perf_counter() - begin)
    return statistics.mean(taken)


def measured_apart(backend: str, recipe: str) -> float:
    """``seconds_a_step`` in a process with this backend."""
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, __file__, recipe]
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(ran.stdout))


def headline(seconds: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str]]:
    """What README shows: (what, measured, goal)."""
    least = min(min(of[other] for other in BACKENDS[1:]) / of[BACKENDS[0]] for of in seconds.values())
    what = "training with TensorFlow against the faster of PyTorch and JAX, on a CPU, least of three networks"
    return [(what, f"{least:.2f} times as fast", "at least 1, being the default")]


def main() -> None:
    """Measure every network on every backend and write ``results/backends.json``."""
    if len(sys.argv) > 1:
        print(seconds_a_step(sys.argv[1]))
        return
    from common import write_result

    turns = [(recipe, backend) for _ in range(ROUNDS) for recipe in RECIPES for backend in BACKENDS]
    seconds: dict[str, dict[str, list[float]]] = {recipe: {backend: [] for backend in BACKENDS} for recipe in RECIPES}
    for recipe, backend in tqdm(turns, unit="turn"):
        seconds[recipe][backend].append(measured_apart(backend, recipe))
    typical = {
        recipe: {backend: statistics.median(times) for backend, times in of.items()} for recipe, of in seconds.items()
    }
    write_result("backends", {"seconds_a_step": typical, "every_turn": seconds}, headline(typical))


if __name__ == "__main__":
    main()
