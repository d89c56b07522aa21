from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.datasets.audit.duplicates import NEAR_LIMIT
from pneumoscope.datasets.audit.measure import (
    STATISTICS,
    Measurement,
    Unreadable,
    measure_images,
    perceptual_hash,
    pixel_statistics,
)
from pneumoscope.datasets.kermany import describe
from pneumoscope.datasets.registry import find_images
from pneumoscope.imaging.reader import read_image
from pneumoscope.labels import Label
from support import phantom
from support.data_helpers import Write, cloud


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(perceptual_hash(a) ^ perceptual_hash(b)).sum())


def resized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def gamma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (255 * (pixels / 255.0) ** 0.7).astype(np.uint8)


def recompressed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return read_image(phantom.encode(pixels, "JPEG", quality=30)).pixels


@pytest.mark.parametrize("change", [gamma, recompressed, lambda pixels: resized(pixels, 224)])
def test_the_hash_survives_what_makes_a_near_duplicate(
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    picture = phantom.chest_phantom(512, seed=3)
    assert 0 <= distance(picture, change(picture)) <= NEAR_LIMIT


def test_the_hash_tells_different_radiographs_apart(radiographs: Path) -> None:
    files = [image.path for image in find_images(radiographs / "native", "val")]
    pictures = [read_image(file).pixels for file in files]
    small = [read_image(radiographs / "chest_xray_224" / file.relative_to(radiographs / "native")) for file in files]
    for index, picture in enumerate(pictures):
        assert distance(picture, small[index].pixels) <= NEAR_LIMIT
        assert all(distance(picture, other) > NEAR_LIMIT for other in pictures[:index])


def test_statistics_of_a_picture_worked_by_hand() -> None:
    pixels = np.full((100, 100), 100, np.uint8)
    pixels[:, :10] = 0
    pixels[:, -20:] = 10
    pixels[:5, 10:80] = 250
    found = pixel_statistics(pixels)
    assert set(found) | {"aspect_ratio"} == set(STATISTICS)
    assert found["brightness"] == pytest.approx(pixels.mean())
    assert found["contrast"] == pytest.approx(pixels.std(), rel=1e-5)
    assert found["dark_side_width"] == pytest.approx(0.3)
    assert found["side_border"] == pytest.approx(5.0)
    assert found["black_share"] == pytest.approx(0.1)
    assert found["white_share"] == pytest.approx(0.035)
    assert found["top_border"] == pytest.approx(0.7 * 250 + 0.2 * 10)
    assert found["bottom_border"] == pytest.approx(0.7 * 100 + 0.2 * 10)
    assert found["corner_brightness"] == pytest.approx((0 + 10) / 2)
    assert found["upper_corner_peak"] == 250


def test_a_black_image_is_all_dark_border() -> None:
    found = pixel_statistics(np.zeros((50, 60), np.uint8))
    assert found["dark_side_width"] == 1
    assert found["black_share"] == 1
    assert found["sharpness"] == 0


def test_one_bad_file_among_many_is_a_record(write: Write) -> None:
    good = write("NORMAL/IM-0001-0001.png", data=phantom.encode(np.stack([cloud(1)] * 3, axis=2)))
    bad = write("NORMAL/IM-0002-0001.png", data=b"not an image")
    images = [describe(path, Label.NORMAL) for path in (bad, good)]
    read, unreadable = measure_images(images, jobs=2)
    assert [(type(m), m.image.path, m.width, m.height, m.mode) for m in read] == [(Measurement, good, 160, 160, "RGB")]
    assert unreadable[0] == Unreadable(images[0], unreadable[0].reason)
    assert unreadable[0].reason.startswith("not an image of a known format")
