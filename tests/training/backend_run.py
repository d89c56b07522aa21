"""Train twice on one Keras backend, once broken off and resumed, as on a machine with a GPU; say what came out.

    KERAS_BACKEND=BACKEND python backend_run.py FOLDER

In a process of its own, since a process has one backend.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.training import fit
from pneumoscope.training.networks import NETWORKS
from pneumoscope.training.networks.layers import ImageStandardization, classifier, conv_bn_relu, embedding_of
from pneumoscope.training.recipe import Stage
from support.tiny_data import TINY, write_tiny_data

RECIPE = dataclasses.replace(TINY, network="little", stages=(Stage(2, 32),))


def build_little(*, classes: int, size: int | None) -> keras.Model:
    """One convolution between the parts that all networks share: compiled in a moment."""
    inputs = keras.layers.Input((size, size, 1), name="pixels")
    maps = conv_bn_relu(ImageStandardization(name="standardize")(inputs), 8, 3, "head", stride=4)
    pooled = embedding_of(maps)
    logits = classifier(pooled, classes=classes, dropout=0.2)
    return keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": pooled}, name="little")


def main() -> None:
    """Mixed precision and compiled steps on, whatever this machine has."""
    folder = Path(sys.argv[1])
    rows = assign_roles(find_images(write_tiny_data(folder / "data"), ["train"]))
    whole_epoch = fit._one_epoch

    def killed(model: Any, sets: Any, recipe: Any, seed: Any, epoch: int, *rest: Any) -> Any:
        if epoch == 1:
            raise KeyboardInterrupt
        return whole_epoch(model, sets, recipe, seed, epoch, *rest)

    with mock.patch.dict(NETWORKS, little=build_little), mock.patch.object(fit, "_on_gpu", lambda: True):
        with mock.patch.object(fit, "_one_epoch", killed), contextlib.suppress(KeyboardInterrupt):
            fit.train(rows, RECIPE, folder / "broken", seed=3)
        unbroken = fit.train(rows, RECIPE, folder / "unbroken", seed=3)
        resumed = fit.train(rows, RECIPE, folder / "broken", seed=3, resume=True)
    ours, theirs = (keras.models.load_model(run.last(2)) for run in (resumed, unbroken))
    best = unbroken.load_best()
    grey = np.linspace(0, 255, 2 * 224 * 224, dtype=np.float32).reshape(2, 224, 224, 1)
    said = {
        "backend": keras.backend.backend(),
        "losses": [record.loss for record in unbroken.read_log()],
        "largest_difference": max(
            float(np.abs(a - b).max()) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True)
        ),
        "trained_in": {layer.name: layer.compute_dtype for layer in theirs.layers},
        "best_computes_in": sorted({layer.compute_dtype for layer in best.layers}),
        "logits": keras.ops.convert_to_numpy(best(grey)["logits"]).tolist(),
        "policy_afterwards": keras.config.dtype_policy().name,
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
