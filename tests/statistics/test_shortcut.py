from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics.shortcut import (
    SIDE,
    area_shrunk,
    conflicting,
    outside_lungs,
    shortcut_scores,
    summarise,
)

Pictures = NDArray[np.uint8]


def lungs(images: int, side: int = 56) -> Pictures:
    """Two upright boxes of lung in the middle."""
    mask = np.zeros((images, side, side), np.uint8)
    mask[:, side // 5 : 4 * side // 5, side // 5 : 2 * side // 5] = 255
    mask[:, side // 5 : 4 * side // 5, 3 * side // 5 : 4 * side // 5] = 255
    return mask


def pictures(labels: NDArray[np.int64], where: NDArray[np.bool_], brighter: int) -> Pictures:
    """Noise, and pneumonias brighter by so much at some pixels."""
    noise = np.random.default_rng(0).normal(120, 20, (len(labels), *where.shape))
    return np.clip(noise + brighter * (labels[:, None, None] * where), 0, 255).astype(np.uint8)


LABELS = np.arange(200) % 2
PATIENTS = [f"person{row // 2}" for row in range(200)]


def test_a_mark_outside_the_lungs_is_found() -> None:
    corner = np.zeros((56, 56), bool)
    corner[:8, :8] = True
    scores = shortcut_scores(pictures(LABELS, corner, 6), lungs(200), LABELS, PATIENTS)
    found = summarise(scores, LABELS, PATIENTS, draws=100)
    assert found.auc > 0.8
    assert found.auc_ci95 is not None and found.auc_ci95[0] < found.auc <= found.auc_ci95[1] <= 1
    assert sum(found.histogram["NORMAL"]) == sum(found.histogram["PNEUMONIA"]) == 100


def test_what_is_in_the_lungs_cannot_be_seen() -> None:
    mask = lungs(200)
    scores = shortcut_scores(pictures(LABELS, mask[0] > 0, 80), mask, LABELS, PATIENTS)
    assert 0.35 < summarise(scores, LABELS, PATIENTS, draws=50).auc < 0.65


def test_a_patient_is_scored_by_others() -> None:
    """Each patient has a frame of its own; a model that saw the patient would know the label from it."""
    random = np.random.default_rng(1)
    frames = random.integers(0, 256, (50, 56, 56), dtype=np.uint8)
    people = np.repeat(np.arange(50), 4)
    labels = random.permutation(np.arange(50) % 2)[people]
    scores = shortcut_scores(frames[people], lungs(200), labels, [str(person) for person in people])
    assert 0.25 < summarise(scores, labels, [str(p) for p in people], draws=50).auc < 0.75


def test_lungs_are_left_out_with_a_rim_and_the_rest_is_standardised() -> None:
    mask = lungs(1)
    features = outside_lungs(np.full((1, 56, 56), 90, np.uint8) + mask // 4, mask)[0].reshape(SIDE, SIDE)
    blank = np.isnan(features)
    cells = area_shrunk(mask)[0] > 0
    assert blank[cells].all()
    assert blank.sum() > cells.sum()
    assert np.nanmax(np.abs(features)) < 1  # flat outside: the lungs' brightness does not reach it


def test_masks_of_another_size_and_kind_give_the_same_features() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 56, 56), dtype=np.uint8)
    small = outside_lungs(image, lungs(1))
    assert np.array_equal(small, outside_lungs(image, lungs(1) / 255.0), equal_nan=True)
    assert np.isnan(outside_lungs(image, np.full((1, 96, 96), 255, np.uint8))).all()


def test_conflicting_is_what_the_score_contradicts() -> None:
    scores, labels = np.array([0.1, 0.9, 0.1, 0.9]), np.array([0, 0, 1, 1])
    assert conflicting(scores, labels, 0.5).tolist() == [False, True, True, False]


def test_too_little_data_is_named() -> None:
    few = np.array([0] * 10 + [1] * 30)
    images, masks = np.zeros((40, 56, 56), np.uint8), lungs(40)
    with pytest.raises(DataError, match="NORMAL has 10 of 10"):
        shortcut_scores(images, masks, few, [str(row) for row in range(40)])
    with pytest.raises(DataError, match="39 lung masks for 40 images"):
        shortcut_scores(images, masks[:39], few, [str(row) for row in range(40)])
