from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.imaging.borders import find_bars, whole
from pneumoscope.imaging.reader import read_image
from support.phantom import chest_phantom, encode

CHEST = chest_phantom((180, 240))


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize("widths", [(40, 40, 0, 0), (0, 0, 30, 30), (25, 0, 0, 60), (30, 30, 20, 20)])
def test_bars_of_any_level_and_side_are_cut_with_a_note(level: int, widths: tuple[int, int, int, int]) -> None:
    left, right, top, bottom = widths
    padded = np.pad(CHEST, ((top, bottom), (left, right)), constant_values=level)
    image = read_image(encode(padded))
    assert np.array_equal(image.pixels, CHEST)
    assert (image.width, image.height) == (240, 180)
    assert image.notes[0].startswith("bars of one grey level cut away (")
    for side, share in {"left": left / padded.shape[1], "bottom": bottom / padded.shape[0]}.items():
        assert (f"{share:.0%} {side}" in image.notes[0]) == (share > 0)


def test_bars_of_a_jpeg() -> None:
    padded = np.pad(CHEST, ((0, 0), (64, 64)), constant_values=0)
    image = read_image(encode(padded, "JPEG", quality=80))
    assert abs(image.pixels.shape[1] - 240) <= 8 and image.notes


def test_bars_are_cut_alike_where_a_large_jpeg_is_decoded_at_a_reduced_scale() -> None:
    padded = np.pad(chest_phantom(1200, 3)[100:1020, 100:1020], ((0, 0), (100, 100)), constant_values=0)
    data = encode(padded, "JPEG", quality=90)
    reduced, full = read_image(data, target=32), read_image(data, target=None)
    assert abs(reduced.width - full.width) <= 1 and full.width < 1000


@pytest.mark.parametrize(
    "pixels", [CHEST, np.full((200, 200), 7, np.uint8), np.pad(CHEST[:40, :40], 100), np.pad(CHEST, 1)]
)
def test_a_picture_without_bars_or_of_hardly_anything_else_stays_whole(pixels: NDArray[np.uint8]) -> None:
    assert find_bars(pixels) == whole(pixels)


def test_padding_a_real_radiograph_changes_no_pixel(radiographs: Path) -> None:
    for path in sorted(radiographs.glob("native/*/*/*.jpeg"))[:4]:
        image = read_image(path, target=None)
        padded = np.pad(image.pixels, ((0, 0), (200, 200)), constant_values=128)
        assert np.array_equal(read_image(encode(padded)).pixels, image.pixels)
