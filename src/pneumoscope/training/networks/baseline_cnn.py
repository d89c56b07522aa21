"""The baseline CNN of three convolutions, which everything else is measured against."""

from __future__ import annotations

import keras
from keras import layers

from pneumoscope.errors import TrainingError
from pneumoscope.training.networks.layers import classifier, embedding_of


def build_baseline_cnn(*, classes: int, size: int | None) -> keras.Model:
    """Build the baseline CNN with fresh weights, 11.17 million parameters at 224 pixels, 2.45 million at 112.

    Three blocks of Conv2D, BatchNormalization and MaxPooling with 32, 64 and 128 filters, Flatten, Dense 128
    with Dropout, Dense 1. Its sigmoid is applied outside, because loss and calibration want the logit.

    Raises:
        TrainingError: asked for three classes or for any image size; Flatten needs a fixed one.
    """
    if classes != 2 or size is None:
        raise TrainingError("baseline-cnn: has one output and a fixed image size; use classes = 2 and one size")
    inputs = layers.Input((size, size, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    depths = []
    for index, filters in enumerate((32, 64, 128)):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{index}")(x)
        x = layers.BatchNormalization(name=f"bn{index}")(x)
        x = layers.MaxPooling2D(name=f"pool{index}")(x)
        depths.append(x)
    maps = depths[-1]
    hidden = layers.Dense(128, activation="relu", name="hidden")(layers.Flatten(name="flatten")(maps))
    logits = classifier(hidden, classes=classes, dropout=0.5)
    embedding = embedding_of(*depths[1:])
    return keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": embedding}, name="baseline-cnn")
