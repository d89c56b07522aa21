"""Shortcut checks: changes do what they say, and a model that relies on a marker is caught."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.evaluation.robustness import CHANGES, CORNER, FRAME, STRETCH, Perturbation, check_shortcuts
from pneumoscope.model.classifier import load_model
from support import phantom

SIDE = 224


@pytest.fixture
def chest() -> NDArray[np.uint8]:
    return phantom.chest_phantom(SIDE, seed=1)


@pytest.mark.parametrize("change", list(Perturbation))
def test_each_change_changes_and_keeps_the_shape(change: Perturbation, chest: NDArray[np.uint8]) -> None:
    original = chest.copy()
    changed = CHANGES[change](chest)
    assert changed.shape == chest.shape
    assert changed.dtype == np.uint8
    assert (changed != chest).any()
    np.testing.assert_array_equal(chest, original)


def test_masking_hides_only_where_it_says(chest: NDArray[np.uint8]) -> None:
    corner, frame = round(SIDE * CORNER), round(SIDE * FRAME)
    upper = CHANGES[Perturbation.UPPER_CORNERS_MASKED](chest)
    assert np.unique(upper[:corner, :corner]).size == np.unique(upper[:corner, -corner:]).size == 1
    np.testing.assert_array_equal(upper[corner:], chest[corner:])
    np.testing.assert_array_equal(upper[:, corner:-corner], chest[:, corner:-corner])
    every = CHANGES[Perturbation.ALL_CORNERS_MASKED](chest)
    assert np.unique(every[-corner:, :corner]).size == np.unique(every[-corner:, -corner:]).size == 1
    framed = CHANGES[Perturbation.FRAME_MASKED](chest)
    np.testing.assert_array_equal(framed[frame:-frame, frame:-frame], chest[frame:-frame, frame:-frame])
    assert np.unique(np.r_[framed[:frame].ravel(), framed[:, -frame:].ravel()]).size == 1
    assert not CHANGES[Perturbation.BLACK_FRAME](chest)[:frame].any()


def test_gamma_and_shift_go_the_right_way(chest: NDArray[np.uint8]) -> None:
    assert CHANGES[Perturbation.DARKER](chest).mean() < chest.mean() < CHANGES[Perturbation.BRIGHTER](chest).mean()
    np.testing.assert_array_equal(CHANGES[Perturbation.SHIFTED_RIGHT](chest)[:, 9:], chest[:, :-9])
    np.testing.assert_array_equal(CHANGES[Perturbation.SHIFTED_DOWN](chest)[9:], chest[:-9])


def test_stretching_moves_columns_away_from_the_middle_and_back() -> None:
    bars = np.zeros((SIDE, SIDE), np.uint8)
    middle, distance = SIDE // 2, 60
    bars[:, [middle - distance, middle + distance]] = 255
    for change, factor in ((Perturbation.WIDENED, STRETCH), (Perturbation.NARROWED, 1 / STRETCH)):
        row = CHANGES[change](bars)[SIDE // 3].astype(float)
        for half, sign in ((slice(None, middle), -1), (slice(middle, None), 1)):
            place = np.average(np.arange(SIDE)[half], weights=row[half])
            assert place == pytest.approx(middle + sign * distance * factor, abs=1)
    bright_left = np.tile(np.arange(SIDE)[::-1], (SIDE, 1)).astype(np.uint8)
    assert np.unique(CHANGES[Perturbation.NARROWED](bright_left)[:, :10]).size == 1  # the edge, repeated
    assert CHANGES[Perturbation.WIDENED](bright_left)[0, 0] < bright_left[0, 0]  # the edge, cut off


class MarkerReader:
    """Calls pneumonia whatever has a bright upper left corner."""

    contract = SimpleNamespace(typicality_limit=0.5)

    def runtime(self) -> MarkerReader:
        return self

    def run(self, pixels: NDArray[np.uint8]) -> Any:
        return SimpleNamespace(probability=float(pixels[:12, :12].mean() > 200), typicality=0.9)


def marked(count: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
    images, positive = [], np.arange(count) % 2 == 1
    for number in range(count):
        image = phantom.chest_phantom(SIDE, seed=number)
        image[:20, :20] = 255 if positive[number] else 0
        images.append(image)
    return images, positive


def test_a_model_that_reads_a_marker_is_caught() -> None:
    images, positive = marked(30)
    found = check_shortcuts(MarkerReader(), images, positive, threshold=0.5)  # type: ignore[arg-type]
    results = {result.change: result for result in found.checks}
    corner = results[Perturbation.UPPER_CORNERS_MASKED]
    assert corner.relies_on_it
    assert (corner.accuracy, corner.accuracy_change, corner.auc) == (0.5, -0.5, 0.5)
    assert (corner.flips, corner.mean_probability_change, corner.atypical) == (15, 0.5, 0)
    assert corner.flips_ci95 is not None
    assert corner.flips_ci95[0] < 0.5 < corner.flips_ci95[1]
    assert corner.accuracy_change_ci95[0] < -0.5 < corner.accuracy_change_ci95[1] < -0.2
    assert not results[Perturbation.BRIGHTER].relies_on_it
    assert results[Perturbation.BRIGHTER].flips == 0


def test_one_class_alone_has_no_auc() -> None:
    images, positive = marked(4)
    alone = [image for image, sick in zip(images, positive, strict=True) if sick]
    found = check_shortcuts(MarkerReader(), alone, np.ones(2, bool), threshold=0.5)  # type: ignore[arg-type]
    assert all(result.auc is None for result in found.checks)
    assert found.aspect is None


def bar(half: int) -> NDArray[np.uint8]:
    """A bright bar in the middle, so many columns wide to both sides."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[:, SIDE // 2 - half : SIDE // 2 + half] = 255
    return image


class ShapeReader(MarkerReader):
    """Calls pneumonia by how narrow the bright shape is, as a network may that knows squashed files."""

    def run(self, pixels: NDArray[np.uint8]) -> Any:
        return SimpleNamespace(probability=float(1 - (pixels > 128).mean()), typicality=0.9)


def test_a_model_that_reads_the_squashed_shape_is_caught() -> None:
    """Shapes a fifth narrower in one class: the other order of widths turns its ranking round."""
    positive = np.arange(20) % 2 == 1
    images = [bar((50 if sick else 60) + number % 3) for number, sick in enumerate(positive)]
    aspect = check_shortcuts(ShapeReader(), images, positive, threshold=0.5).aspect  # type: ignore[arg-type]
    assert aspect is not None
    assert (aspect.auc, aspect.auc_normal_stretched) == (1.0, 1.0)
    assert aspect.auc_pneumonia_stretched < 0.2
    low, high = aspect.auc_pneumonia_stretched_ci95
    assert low <= aspect.auc_pneumonia_stretched < high < 0.5
    assert aspect.auc_ci95[0] < 1.0
    assert aspect.auc_normal_stretched_change_ci95 is None  # both rank perfectly


def test_what_the_squashed_shape_is_worth_has_an_interval() -> None:
    """Widths of the classes overlap: half the pairs stand the wrong way round after the change."""
    positive = np.arange(40) % 2 == 1
    images = [bar((46 if sick else 53) + 5 * number % 14) for number, sick in enumerate(positive)]
    aspect = check_shortcuts(ShapeReader(), images, positive, threshold=0.5).aspect  # type: ignore[arg-type]
    assert aspect is not None
    for auc, change, interval in (
        (
            aspect.auc_pneumonia_stretched,
            aspect.auc_pneumonia_stretched_change,
            aspect.auc_pneumonia_stretched_change_ci95,
        ),
        (aspect.auc_normal_stretched, aspect.auc_normal_stretched_change, aspect.auc_normal_stretched_change_ci95),
    ):
        assert interval is not None
        assert change == auc - aspect.auc
        assert interval[0] < change < interval[1]
    assert aspect.auc_pneumonia_stretched_change < -0.2
    assert aspect.auc_normal_stretched_change > 0


def test_the_built_in_model_does_not_lean(radiographs: Path) -> None:
    """On the 16 validation radiographs, from native size: without their markers at most two answers turn."""
    from pneumoscope.imaging.reader import read_image
    from pneumoscope.imaging.resize import shrink

    model = load_model()
    paths = sorted((radiographs / "native" / "val").rglob("*.jpeg"))
    assert len(paths) == 16
    pixels = [shrink(read_image(path).pixels, width=SIDE, height=SIDE) for path in paths]
    positive = np.array([path.parent.name == "PNEUMONIA" for path in paths])
    _, point = model.contract.operating_point(None)
    for result in check_shortcuts(model, pixels, positive, threshold=point.threshold).checks:
        assert not result.relies_on_it, result
        if result.change in (Perturbation.UPPER_CORNERS_MASKED, Perturbation.ALL_CORNERS_MASKED):
            assert result.flips <= 2, result
