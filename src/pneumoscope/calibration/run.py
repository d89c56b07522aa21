"""Calibrate a run's best weights, once; export reads what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.fit import Calibration, fit_scores
from pneumoscope.calibration.images import RunImages
from pneumoscope.calibration.result import FILE, Calibrated, read_calibrated, write_calibrated
from pneumoscope.calibration.scores import Scores
from pneumoscope.calibration.typicality import fit_typicality
from pneumoscope.files import sha256_of
from pneumoscope.training.augmentation import augment
from pneumoscope.training.batches import PixelSet
from pneumoscope.training.out_of_fold import OutOfFold, read_out_of_fold
from pneumoscope.training.recipe import Recipe

POPULATIONS: Final = {"": "images", "kermany": "children", "nih": "adults"}
"""What reports call the people of a data set, by its name."""


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


def with_variations(images: PixelSet, recipe: Recipe) -> NDArray[np.uint8]:
    """What the network sees of each image, and once more as training varied it: what it overlooks is typical.

    Without them a black frame, as collimation leaves it, would look foreign.

    Args:
        images: N of them.
        recipe: whose augmentation varies them.

    Returns:
        ``uint8 [2 N, size, size]``, the same in every call.
    """
    size = recipe.network_size
    varied = [
        augment(image, recipe.augmentation, np.random.default_rng([0, index]), box=images.box(index), size=size)
        for index, image in enumerate(images.pixels)
    ]
    return np.concatenate([images.seen(size), np.stack(varied)])


def out_of_fold_scores(scores: OutOfFold) -> Scores:
    """Out-of-fold scores as the scale is fitted on them; each source is a population."""
    return Scores(
        scores.logits,
        scores.positive,
        scores.patients,
        [POPULATIONS.get(source, source) for source in scores.sources],
        shortcut=scores.shortcut,
        made_by=f"out-of-fold scores of {len(scores.paths)} images of {len(set(scores.patients))} patients",
    )


def calibrate(network: keras.Model, images: RunImages, scores: Scores | None = None) -> Calibrated:
    """Fit calibration, operating points, the band and typicality.

    Args:
        network: the finished one.
        images: of the run.
        scores: in place of the run's out-of-fold scores.

    Raises:
        DataError: images are no longer there, or a source has one class only.
    """
    recipe = images.run.read_settings()[0]
    scores = scores or out_of_fold_scores(read_out_of_fold(images.run.out_of_fold))
    scale = fit_scores(scores)
    held_out = np.concatenate([part.seen(recipe.network_size) for part in images.validation.values()])
    typical = with_variations(images.typical, recipe)
    return Calibrated(
        weights_sha256=sha256_of(images.run.best),
        calibration=Calibration(scale.affine.temperature, scale.affine.bias),
        operating_points=scale.operating_points,
        conformal=scale.band,
        record=scale.record,
        typicality=fit_typicality(embed(network, typical)[1], embed(network, held_out)[1]),
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
