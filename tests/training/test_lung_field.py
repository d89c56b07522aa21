"""The shipped lung-field network: masks held out, and what it must not lose: white lungs, one lung, odd framing."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.training.lungs.fit import held_out_report
from pneumoscope.training.lungs.masks import MaskedPictures, dice, hold_out, read_masked_pictures
from pneumoscope.training.lungs.shipped import (
    PROVENANCE,
    WEIGHTS,
    find_lungs,
    lung_field_network,
    lung_field_provenance,
)
from pneumoscope.training.networks.lung_field import SIDE

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def held_out(radiographs: Path) -> MaskedPictures:
    """The pictures that the shipped weights were not trained on."""
    pictures = read_masked_pictures(radiographs)
    return pictures.take(hold_out(pictures, 100, seed=1)[1])


@pytest.fixture(scope="module")
def some(held_out: MaskedPictures) -> MaskedPictures:
    return held_out.take(np.arange(0, len(held_out.names), 4))


def covered(pixels: Pixels, masks: Pixels) -> NDArray[np.float64]:
    """Share of each drawn mask that is inside the box, for ``uint8 [N, S, S]`` pictures and masks."""
    shares = []
    for mask, (x0, y0, x1, y1) in zip(masks > 127, find_lungs(pixels).boxes, strict=True):
        rows, columns = ((np.arange(side) + 0.5) / side for side in mask.shape)
        inside = ((rows >= y0) & (rows <= y1))[:, None] & ((columns >= x0) & (columns <= x1))
        shares.append(float((mask & inside).sum() / mask.sum()))
    return np.array(shares)


def test_shipped_files_say_where_they_come_from() -> None:
    folder = resources.files("pneumoscope.training") / "weights"
    content = (folder / WEIGHTS).read_bytes()
    provenance = json.loads((folder / PROVENANCE).read_text("utf-8"))
    assert provenance["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) < 1_000_000
    assert provenance["parameters"] == lung_field_network().count_params() <= 250_000
    assert provenance["held_out"]["n"] >= 100
    assert provenance["held_out"]["dice"]["mean"] >= 0.95


def test_dice_on_masks_held_out(held_out: MaskedPictures) -> None:
    report = held_out_report(lung_field_network(), held_out)
    assert report["dice"]["mean"] >= 0.95
    expected = lung_field_provenance()["held_out"]
    assert report["n"] == expected["n"]
    assert report["dice"]["mean"] == pytest.approx(expected["dice"]["mean"], abs=0.003)


def test_the_box_holds_the_drawn_lungs(held_out: MaskedPictures) -> None:
    shares = covered(held_out.pixels, held_out.masks)
    assert np.median(shares) > 0.995
    assert (shares > 0.95).mean() >= 0.95


def whitened(picture: Pixels, mask: Pixels, side: int) -> Pixels:
    """One lung as white as what is around it, edges softened."""
    columns = np.arange(picture.shape[1])
    middle = float((mask.sum(0) * columns).sum() / mask.sum())
    half = columns < middle if side == 0 else columns >= middle
    white = cv2.GaussianBlur(mask.astype(np.float32) / 255 * half, (0, 0), 2)
    level = np.percentile(picture[mask < 128], 85)
    return np.asarray(picture * (1 - 0.9 * white) + level * 0.9 * white, np.uint8)


@pytest.mark.parametrize("side", [0, 1])
def test_a_whited_out_lung_is_not_cut_away(some: MaskedPictures, side: int) -> None:
    pairs = zip(some.pixels, some.masks, strict=True)
    white = np.stack([whitened(picture, mask, side) for picture, mask in pairs])
    shares = covered(white, some.masks)
    assert np.median(shares) > 0.98
    assert (shares > 0.9).mean() >= 0.9


def test_one_lung_in_the_picture_is_found(some: MaskedPictures) -> None:
    """The picture ends at the spine."""
    half = some.pixels.shape[2] // 2
    pixels, masks = np.ascontiguousarray(some.pixels[:, :, half:]), np.ascontiguousarray(some.masks[:, :, half:])
    assert find_lungs(pixels).found.all()
    assert np.median(covered(pixels, masks)) > 0.97


def overlap(pixels: Pixels, masks: Pixels) -> float:
    """Median Dice with the drawn masks."""
    drawn = np.stack([shrink(mask, width=SIDE, height=SIDE) for mask in masks])
    return float(np.median(dice(find_lungs(pixels).masks > 0.5, drawn > 127)))


def test_tubes_and_leads_do_not_matter(some: MaskedPictures) -> None:
    crossed = some.pixels.copy()
    for picture in crossed:
        side = picture.shape[0]
        cv2.line(picture, (side // 2, 0), (side // 2 - 10, side // 2), 235, 2, cv2.LINE_AA)
        cv2.ellipse(picture, (side // 2, side // 2), (50, 40), 20, 0, 250, 220, 2, cv2.LINE_AA)
        cv2.circle(picture, (side // 4, side // 3), 4, 250, -1)
    assert overlap(crossed, some.masks) > 0.93


@pytest.mark.parametrize("level", [0, 255])
def test_bars_at_the_sides(some: MaskedPictures, level: int) -> None:
    wide = ((0, 0), (0, 0), (36, 36))
    pixels = np.pad(some.pixels, wide, constant_values=level)
    masks = np.pad(some.masks, wide)
    assert overlap(pixels, masks) > 0.92
    boxes = find_lungs(pixels).boxes
    assert (boxes[:, 0] > 0.1).mean() > 0.9 and (boxes[:, 2] < 0.9).mean() > 0.9, "bars are outside the box"


@pytest.mark.parametrize("angle", [-20, 20])
def test_turned_pictures(some: MaskedPictures, angle: int) -> None:
    side = some.pixels.shape[1]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1)
    turned, masks = (
        np.stack([cv2.warpAffine(each, turn, (side, side)) for each in planes]) for planes in (some.pixels, some.masks)
    )
    assert overlap(np.asarray(turned, np.uint8), np.asarray(masks, np.uint8)) > 0.92


def test_cropped_pictures(some: MaskedPictures) -> None:
    """Apices and one side are cut off."""
    pixels, masks = (np.ascontiguousarray(planes[:, 35:, 25:]) for planes in (some.pixels, some.masks))
    assert overlap(pixels, masks) > 0.92


def test_adults_have_lungs(radiographs: Path) -> None:
    """Of whom no mask was ever drawn here; all 1,586 take too long for a test."""
    files = sorted((radiographs / "adults_nih" / "images").glob("*.jpeg"))[::16]
    if not files:
        pytest.skip("no adults in this data folder")
    pixels = np.stack([shrink(read_image(file).pixels, width=224, height=224) for file in files])
    fields = find_lungs(pixels)
    assert fields.found.all()
    widths = fields.boxes[:, 2] - fields.boxes[:, 0]
    assert (widths > 0.4).mean() > 0.98


def sample(name: str) -> Pixels:
    path = get_testdata_file(name, download=False)
    assert path, f"{name} comes with the pydicom-data package"
    return read_image(Path(path)).pixels


def test_the_adult_of_pydicom_data() -> None:
    fields = find_lungs(sample("RG1_UNCR.dcm")[None])
    assert fields.found.all()
    assert 0.15 < fields.shares[0] < 0.6
    assert fields.masks[0].mean() > 0.2
    x0, y0, x1, y1 = fields.boxes[0]
    assert x1 - x0 > 0.5 and y1 - y0 > 0.5


def test_a_leg_and_a_blank_have_no_lungs() -> None:
    leg = sample("RG3_UNCR.dcm")
    for pixels in (leg, np.ascontiguousarray(leg[:, ::-1]), np.rot90(leg), np.full((224, 224), 128, np.uint8)):
        fields = find_lungs(pixels[None])
        assert not fields.found.any()
        np.testing.assert_array_equal(fields.boxes[0], [0, 0, 1, 1])
