"""Augmentation: repeatable, off when it is off, and each step does what it says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from pneumoscope.training.augmentation import augment
from pneumoscope.training.recipe import Augmentation, load_recipe
from support import phantom

CHEST = phantom.chest_phantom(224)


def varied(seed: int = 0, **settings: float) -> np.ndarray:
    return augment(CHEST, Augmentation(**settings), np.random.default_rng(seed))


def test_all_off_changes_nothing() -> None:
    assert np.array_equal(varied(), CHEST)


def test_same_seed_same_picture_and_input_untouched() -> None:
    settings, before = load_recipe("pneumonet").augmentation, CHEST.copy()
    first, again, other = (augment(CHEST, settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(CHEST, before)
    assert first.shape == CHEST.shape
    assert first.dtype == np.uint8


def test_flip_is_a_mirror() -> None:
    assert np.abs(varied(flip=1).astype(int) - CHEST[:, ::-1]).max() <= 1


def test_invert_is_a_negative() -> None:
    assert np.abs(varied(invert=1).astype(int) - (255 - CHEST.astype(int))).max() <= 1


def test_borders_are_black_and_symmetric() -> None:
    picture = varied(border=1)
    black = (picture == 0).all(0)
    width = int(black[: len(black) // 2].sum())
    assert 2 <= width <= 0.12 * 224
    assert black[:width].all()
    assert black[-width:].all()


def test_a_frame_is_black_on_every_side_and_only_there() -> None:
    picture = varied(frame=1)
    rows, columns = ((picture != 0).any(axis) for axis in (1, 0))
    top, bottom = int(np.argmax(rows)), int(np.argmax(rows[::-1]))
    left, right = int(np.argmax(columns)), int(np.argmax(columns[::-1]))
    assert max(top, bottom, left, right) <= 0.1 * 224
    assert len({top, bottom, left, right}) > 1
    inside = np.s_[top : 224 - bottom, left : 224 - right]
    assert np.array_equal(picture[inside], CHEST[inside])


def test_erasing_stays_in_an_upper_corner() -> None:
    for seed in range(20):
        rows, columns = np.nonzero(varied(seed, erase=1) != CHEST)
        assert rows.max() < 0.22 * 224
        assert columns.max() < 0.22 * 224 or columns.min() >= 0.78 * 224 - 1


@pytest.mark.parametrize("name", ["gamma", "contrast", "brightness", "tone"])
def test_photometry_keeps_the_order_of_grey_levels(name: str) -> None:
    picture = varied(3, **{name: 0.5})
    order = np.argsort(CHEST.ravel(), kind="stable")
    assert not np.array_equal(picture, CHEST)
    assert (np.diff(picture.ravel()[order].astype(int)) >= 0).all()


def test_sharpening_makes_edges_steeper() -> None:
    assert np.abs(np.diff(varied(sharpen=1).astype(float))).mean() > np.abs(np.diff(CHEST.astype(float))).mean()


def test_noise_and_blur_change_the_texture() -> None:
    flat = np.full((64, 64), 128, np.uint8)
    deviations = [augment(flat, Augmentation(noise=12), np.random.default_rng(seed)).std() for seed in range(8)]
    assert 2 < max(deviations) <= 12.5
    assert np.abs(np.diff(varied(blur=1).astype(float))).mean() < np.abs(np.diff(CHEST.astype(float))).mean()


def test_a_box_is_cut_out_as_at_prediction() -> None:
    """Against Pillow's triangle filter, which the exported graph follows, where the box shrinks and where it grows."""
    smooth = np.asarray(cv2.GaussianBlur(CHEST, (0, 0), 2), np.uint8)
    for box, size in (((0.05, 0.1, 0.95, 0.9), 128), ((0.2, 0.3, 0.7, 0.8), 128)):
        ours = augment(smooth, Augmentation(), np.random.default_rng(0), box=np.array(box, np.float32), size=size)
        left, top, right, bottom = (224 * share for share in box)
        corners = (left, top, right, bottom)
        theirs = np.array(Image.fromarray(smooth).resize((size, size), Image.Resampling.BILINEAR, box=corners))
        assert ours.shape == (size, size)
        assert np.abs(ours.astype(int) - theirs.astype(int))[2:-2, 2:-2].mean() < 1


def test_fine_stripes_do_not_alias_when_a_picture_shrinks() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (224, 112))
    shrunk = augment(stripes, Augmentation(), np.random.default_rng(0), size=112)
    bare = cv2.resize(stripes, (112, 112), interpolation=cv2.INTER_NEAREST)
    assert shrunk[8:-8, 8:-8].std() < 0.5 * 127
    assert bare.std() == 0  # what aliasing makes of them: one class of stripes alone


def test_the_box_moves_within_its_limits() -> None:
    edge = np.zeros((224, 224), np.uint8)
    edge[:, 112:] = 255
    box = np.array([0.25, 0.25, 0.75, 0.75], np.float32)
    settings = Augmentation(box=0.1)
    places = []
    for seed in range(40):
        picture = augment(edge, settings, np.random.default_rng(seed), box=box, size=100)
        places.append(int((picture.mean(0) < 128).sum()))
    assert 39 <= min(places) < 46 < 54 < max(places) <= 61
