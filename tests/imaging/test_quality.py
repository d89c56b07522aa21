from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.imaging.quality import assess
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.imaging.reader import read_image
from support.phantom import chest_phantom, colour_photo, encode, text_page


def judge(pixels: NDArray[Any], file_format: str = "PNG") -> tuple[str, ...]:
    return assess(read_image(encode(pixels, file_format)))


@pytest.mark.parametrize("size", [128, 224, (445, 140), (700, 900)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_chest_is_usable(size: int | tuple[int, int], file_format: str) -> None:
    for seed in range(3):
        assert judge(chest_phantom(size, seed), file_format) == ()


def framed(pixels: NDArray[Any]) -> NDArray[Any]:
    """A thin grey frame, so that nothing at the edges is taken for bars."""
    return np.pad(pixels, 2, constant_values=20)


def test_a_grey_chest_stored_in_colour_is_usable() -> None:
    grey = chest_phantom(256)
    noisy = np.clip(np.stack([grey] * 3, axis=2) + np.random.default_rng(0).normal(0, 2, (256, 256, 3)), 0, 255)
    assert judge(noisy.astype(np.uint8), "JPEG") == ()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (chest_phantom(40), "40 x 40 pixels, at least 128 x 128 needed"),
        (chest_phantom((127, 300)), "300 x 127 pixels, at least 128 x 128 needed"),
        (np.full((256, 256), 90, np.uint8), "blank: nearly every pixel is at grey level 90"),
        (np.random.default_rng(0).normal(90, 4, (256, 256)).astype(np.uint8), "nearly constant: 9 of 255"),
        (chest_phantom((150, 900)), "900 x 150 pixels, one side 6.0 times the other"),
        (colour_photo(), "a colour picture (chroma"),
        (text_page(), "noise, text or texture"),
        (255 - text_page(), "noise, text or texture"),
        (np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8), "noise, text or texture"),
        ((np.indices((256, 256)).sum(axis=0) // 32 % 2 * 255).astype(np.uint8), "hardly any grey levels"),
        (np.clip(chest_phantom(256).astype(int) + 150, 0, 255).astype(np.uint8), "overexposed"),
        (
            np.pad(np.clip(chest_phantom(250).astype(int) - 200, 0, 255), 3, constant_values=20).astype(np.uint8),
            "underexp",
        ),
        (255 - chest_phantom(256), "as in an inverted chest radiograph"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_unusable_images_are_refused_with_their_reason(pixels: NDArray[Any], reason: str) -> None:
    reasons = judge(pixels)
    assert any(reason in said for said in reasons), reasons


def test_size_is_that_of_the_file_not_of_the_decoded_pixels() -> None:
    image = read_image(encode(chest_phantom(512)))
    reduced = dataclasses.replace(image, pixels=image.pixels[::5, ::5])
    assert assess(reduced) == ()


def test_no_real_radiograph_is_refused_and_every_inverted_one_is(radiographs: Path) -> None:
    # Every tenth; quality.py says what all of them gave.
    paths = sorted(radiographs.glob("*/*/*/*.jpeg"))[::10]
    assert paths
    for path in paths:
        image: Radiograph = read_image(path)
        assert assess(image) == (), path
        inverted = dataclasses.replace(image, pixels=255 - image.pixels)
        assert any("inverted" in reason for reason in assess(inverted)), path
