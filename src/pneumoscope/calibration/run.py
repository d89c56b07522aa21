"""Calibrate a run's best weights, once; export reads what was written."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.fit import Calibration, fit_scores
from pneumoscope.calibration.images import RunImages
from pneumoscope.calibration.result import FILE, Calibrated, read_calibrated, write_calibrated
from pneumoscope.calibration.scores import Scores
from pneumoscope.calibration.typicality import fit_typicality
from pneumoscope.files import sha256_of
from pneumoscope.statistics.odds import pneumonia_logit
from pneumoscope.training.augmentation import augment
from pneumoscope.training.fit import full_network
from pneumoscope.training.recipe import Recipe
from pneumoscope.training.run_folder import RunFolder


def embed(network: keras.Model, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits ``[N, classes]`` and embeddings ``[N, d]`` of ``uint8 [N, H, W]`` images."""
    small = keras.Model(network.input, [network.output["logits"], network.output["embedding"]])
    logits, embeddings = [], []
    for begin in range(0, len(pixels), 32):
        batch = pixels[begin : begin + 32, ..., None].astype(np.float32)
        logit, embedding = small.predict_on_batch(batch)
        logits.append(keras.ops.convert_to_numpy(logit))
        embeddings.append(keras.ops.convert_to_numpy(embedding))
    return np.concatenate(logits), np.concatenate(embeddings)


def with_variations(pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """The images, and each once more as training varied it: what the network has learned to overlook is typical.

    Without them a black frame, as collimation leaves it, would look foreign.

    Args:
        pixels: ``uint8 [N, H, W]``.
        recipe: whose augmentation varies them.

    Returns:
        ``uint8 [2 N, H, W]``, the same in every call.
    """
    varied = [
        augment(image, recipe.augmentation, np.random.default_rng([0, index])) for index, image in enumerate(pixels)
    ]
    return np.concatenate([pixels, np.stack(varied)])


def best_network(run: RunFolder) -> keras.Model:
    """A run's best weights in the network as it is built today.

    Raises:
        TrainingError: the run has no best weights yet.
    """
    # What typicality is measured on is not trained, so an older file lacks it.
    return full_network(run.load_best(), run.read_settings()[0])


def calibrate(network: keras.Model, images: RunImages, scores: Scores | None = None) -> Calibrated:
    """Fit calibration, operating points and typicality.

    Args:
        network: of :func:`best_network`.
        images: of the run.
        scores: out of fold; without them, those of the run's validation images, which also chose the epoch.

    Raises:
        DataError: images are no longer there, or validation has one class only.
    """
    recipe = images.run.read_settings()[0]
    parts = list(images.validation.values())
    logits, held_out = embed(network, np.concatenate([part.pixels for part in parts]))
    if scores is None:
        rows = [row for part in parts for row in part.rows]
        scores = Scores(
            pneumonia_logit(logits),
            np.concatenate([part.positive for part in parts]),
            [row.patient for row in rows],
            ["" if row.origin is None else row.origin.name for row in rows],
        )
    scale = fit_scores(scores)
    return Calibrated(
        weights_sha256=sha256_of(images.run.best),
        calibration=Calibration(scale.affine.temperature, scale.affine.bias),
        operating_points=scale.operating_points,
        conformal=scale.band,
        record=scale.record,
        typicality=fit_typicality(embed(network, with_variations(images.typical.pixels, recipe))[1], held_out),
        scores=scores.made_by,
        images=len(scores.logit),
    )


def calibrated_run(network: keras.Model, images: RunImages, scores: Scores | None = None) -> Calibrated:
    """The run's ``calibration.json``; made where it is missing or of other weights, or where ``scores`` are given.

    Raises:
        TrainingError: the file is damaged.
        DataError: see :func:`calibrate`.
    """
    file: Path = images.run.path / FILE
    if scores is None and file.is_file():
        known = read_calibrated(file)
        if known.weights_sha256 == sha256_of(images.run.best):
            return known
    made = calibrate(network, images, scores)
    write_calibrated(file, made)
    return made
