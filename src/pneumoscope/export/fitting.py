"""What is fitted after training: calibration, operating points and typicality, on the two validations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.source import Role
from pneumoscope.export.graph import Calibration
from pneumoscope.model.contract import OperatingPoint
from pneumoscope.statistics.operating_points import choose_operating_points
from pneumoscope.training.augmentation import augment
from pneumoscope.training.batches import PixelSet, load_pixels
from pneumoscope.training.fit import full_network, pneumonia_logit
from pneumoscope.training.recipe import Recipe
from pneumoscope.training.run_folder import RunFolder
from pneumoscope.training.typicality import TypicalityModel, fit_typicality

# Radiographs that the Gaussian of typicality is fitted on: many times its components, and quick to embed.
_TYPICAL_IMAGES = 1500
TYPICALITY_LIMIT = 0.5
"""``fit_typicality`` puts 0.5 where two in a thousand validation radiographs lie farther out."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network with everything its one-file model needs.

    Attributes:
        network: from ``best.keras``, outputs ``logits``, ``maps``, ``embedding``.
        calibration: of its log odds, fitted on both validations together.
        typicality: fitted on training images, plain and varied, scaled on validation images.
        operating_points: chosen on both validations together.
        validation: the images of each validation role.
        representative: training images ``uint8 [H, W]``, one a patient, for int8 ranges.
    """

    network: keras.Model
    calibration: Calibration
    typicality: TypicalityModel
    operating_points: Mapping[str, OperatingPoint]
    validation: Mapping[Role, PixelSet]
    representative: tuple[NDArray[np.uint8], ...]


def fit_calibration(logit: NDArray[np.float64], positive: NDArray[np.bool_]) -> Calibration:
    """Slope and intercept of the log odds by maximum likelihood (Platt 1999, Probabilistic outputs for SVMs).

    Args:
        logit: log odds of pneumonia, ``float64 [N]``.
        positive: which are pneumonia, ``bool [N]``; their share is the prevalence that probabilities refer to.
    """
    from sklearn.linear_model import LogisticRegression

    # Almost no regularisation: it only keeps the slope finite where the classes are perfectly apart.
    fitted = LogisticRegression(C=1e4).fit(logit[:, None], positive)
    return Calibration(temperature=1 / max(float(fitted.coef_[0, 0]), 1e-3), bias=float(fitted.intercept_[0]))


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


def fit_run(run: RunFolder) -> Fitted:
    """Fit calibration, operating points and typicality of a run's best weights.

    Raises:
        TrainingError: the run has no best weights yet.
        DataError: its images are no longer there.
    """
    # The file's weights in the network as it is built today: what typicality is measured on is not trained.
    recipe = run.read_settings()[0]
    network = full_network(run.load_best(), recipe)
    rows = run.read_manifest()
    validation = {
        role: load_pixels([row for row in rows if row.role is role], what=f"{role} images")
        for role in (Role.GROUPED, Role.ORDERED)
    }
    training_rows = [row for row in rows if row.role is Role.TRAIN]
    chosen = np.random.default_rng(0).permutation(len(training_rows))[:_TYPICAL_IMAGES]
    typical = load_pixels([training_rows[index] for index in chosen], what="typical images")
    pixels = np.concatenate([images.pixels for images in validation.values()])
    positive = np.concatenate([images.positive for images in validation.values()])
    logits, held_out = embed(network, pixels)
    logit = pneumonia_logit(logits)
    calibration = fit_calibration(logit, positive)
    probability = 1 / (1 + np.exp(-(logit / calibration.temperature + calibration.bias)))
    points = choose_operating_points(positive.astype(np.int64), probability)
    one_a_patient = {row.patient: image for row, image in zip(typical.rows, typical.pixels, strict=True)}
    return Fitted(
        network=network,
        calibration=calibration,
        typicality=fit_typicality(embed(network, with_variations(typical.pixels, recipe))[1], held_out),
        operating_points={
            name.value: OperatingPoint(point.threshold, point.sensitivity, point.specificity)
            for name, point in points.items()
        },
        validation=validation,
        representative=tuple(one_a_patient.values())[:200],
    )
