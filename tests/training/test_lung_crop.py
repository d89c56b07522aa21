"""The crop in the graph is Pillow's resize of a box; boxes hold the lungs; heatmaps come back where they belong."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.training.lungs.crop import (
    MARGINS,
    CropToBox,
    FixedResize,
    LungBox,
    MapInPicture,
)
from support import phantom


def as_array(tensor: object) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def picture(height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    chest = Image.fromarray(phantom.chest_phantom(256, 3, opacity=1))
    return np.asarray(chest.resize((width, height), Image.Resampling.BICUBIC))


BOXES = (
    (0.0, 0.0, 1.0, 1.0),
    (0.1213, 0.1718, 0.8901, 0.8802),
    (0.3, 0.45, 0.52, 0.97),  # smaller than the square: enlarged
    (0.0, 0.0, 0.31, 0.9),
)


@pytest.mark.parametrize("side", [64, 128, 176])
@pytest.mark.parametrize("box", BOXES)
def test_crop_is_pillows_resize_of_a_box(box: tuple[float, ...], side: int) -> None:
    pixels = picture(200, 260)
    scaled = (box[0] * 260, box[1] * 200, box[2] * 260, box[3] * 200)
    floats = Image.fromarray(pixels.astype(np.float32), mode="F")
    expected = np.asarray(floats.resize((side, side), Image.Resampling.BILINEAR, box=scaled))
    ours = as_array(CropToBox(side)([pixels[None, ..., None].astype(np.float32), np.array([box], np.float32)]))
    np.testing.assert_allclose(ours[0, ..., 0], expected, atol=0.05)


def test_every_picture_of_a_batch_has_its_own_box() -> None:
    pixels = np.stack([picture()] * len(BOXES))[..., None].astype(np.float32)
    boxes = np.array(BOXES, np.float32)
    together = as_array(CropToBox(48)([pixels, boxes]))
    for index in range(len(BOXES)):
        alone = as_array(CropToBox(48)([pixels[index : index + 1], boxes[index : index + 1]]))
        np.testing.assert_allclose(together[index], alone[0], atol=1e-3)


def test_fixed_resize_is_pillows() -> None:
    pixels = picture(224, 300)
    floats = Image.fromarray(pixels.astype(np.float32), mode="F")
    expected = np.asarray(floats.resize((96, 96), Image.Resampling.BILINEAR))
    ours = as_array(FixedResize(96)(pixels[None, ..., None].astype(np.float32)))
    np.testing.assert_allclose(ours[0, ..., 0], expected, atol=0.01)


def two_lungs(side: int = 96) -> NDArray[np.float32]:
    """Two ellipses: rows 0.2 to 0.8, columns 0.15 to 0.45 and 0.55 to 0.85."""
    rows, columns = np.mgrid[:side, :side] / side + 0.5 / side
    mask = np.zeros((side, side), np.float32)
    for centre in (0.3, 0.7):
        mask[((columns - centre) / 0.15) ** 2 + ((rows - 0.5) / 0.3) ** 2 < 1] = 1
    return mask


def box_of(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    box: NDArray[np.float32] = as_array(LungBox()(mask[None, ..., None])["box"])[0]
    return box


def test_box_holds_the_lungs_with_the_margin() -> None:
    left, above, right, below = MARGINS
    expected = (0.15 - left * 0.7, 0.2 - above * 0.6, 0.85 + right * 0.7, 0.8 + below * 0.6)
    box = box_of(two_lungs())
    np.testing.assert_allclose(box, expected, atol=0.03)
    assert box[0] < 0.15 and box[1] < 0.2 and box[2] > 0.85 and box[3] > 0.8


def test_stray_patches_move_the_box_by_little() -> None:
    stray = two_lungs()
    stray[91:93, 40:43] = 1
    stray[3, 90] = 1
    assert np.abs(box_of(stray) - box_of(two_lungs())).max() < 0.01


def test_box_follows_the_lungs_smoothly() -> None:
    """A quarter of a pixel moves the box by some part of a pixel, not by none or by one, and two by two."""
    rows, columns = np.mgrid[:96, :96] / 96 + 0.5 / 96

    def soft(shift: float) -> NDArray[np.float32]:
        inside = [1 - ((columns - shift - c) / 0.15) ** 2 - ((rows - 0.5) / 0.3) ** 2 for c in (0.3, 0.7)]
        return np.asarray(1 / (1 + np.exp(-15 * np.maximum(*inside))), np.float32)

    lefts = np.array([box_of(soft(quarter / 4 / 96))[0] for quarter in range(9)])
    steps = np.diff(lefts) * 96
    assert steps.min() > 0 and steps.max() < 0.6
    assert (lefts[8] - lefts[0]) * 96 == pytest.approx(2, abs=0.1)


def test_without_lungs_the_box_is_the_whole_picture() -> None:
    for mask in (np.zeros((96, 96), np.float32), np.pad(np.ones((9, 9), np.float32), ((40, 47), (40, 47)))):
        np.testing.assert_array_equal(box_of(mask), [0, 0, 1, 1])


def test_box_stays_inside_the_picture() -> None:
    cut = np.zeros((96, 96), np.float32)
    cut[:70, 5:96] = 1
    box = box_of(cut)
    assert box.min() >= 0 and box.max() <= 1
    assert box[1] == 0 and box[2] == 1


def test_heatmap_lies_in_the_picture_where_it_lay_in_the_box() -> None:
    heat = np.zeros((1, 11, 11), np.float32)
    heat[0, 3, 8] = 1
    box = np.array([[0.2, 0.3, 0.8, 0.9]], np.float32)
    laid = as_array(MapInPicture(28)([heat, box]))[0]
    y, x = np.unravel_index(laid.argmax(), laid.shape)
    assert abs((x + 0.5) / 28 - (0.2 + 0.6 * 8.5 / 11)) < 1 / 28
    assert abs((y + 0.5) / 28 - (0.3 + 0.6 * 3.5 / 11)) < 1 / 28
    assert laid.max() == pytest.approx(1)


def test_heatmap_is_zero_outside_the_box() -> None:
    heat = np.ones((1, 7, 7), np.float32)
    laid = as_array(MapInPicture(28)([heat, np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)]))[0]
    np.testing.assert_allclose(laid[14:, 7:21], 1, atol=1e-5)
    laid[14:, 7:21] = 0
    assert laid.max() == 0


def test_heatmap_without_evidence_stays_zero() -> None:
    laid = as_array(MapInPicture(28)([np.zeros((1, 7, 7), np.float32), np.array([[0, 0, 1, 1]], np.float32)]))
    assert np.isfinite(laid).all() and laid.max() == 0
