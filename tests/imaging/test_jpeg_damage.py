from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumoscope.errors import InputError
from pneumoscope.imaging.jpeg_damage import decoder_complaint, has_step
from pneumoscope.imaging.reader import read_image
from support.phantom import chest_phantom, encode

CHEST = chest_phantom((320, 400))


@pytest.mark.parametrize("progressive", [False, True])
def test_sound_ones_have_no_note(progressive: bool) -> None:
    image = read_image(encode(CHEST, "JPEG", quality=85, progressive=progressive))
    assert not any("damaged" in note for note in image.notes)


@pytest.mark.parametrize("progressive", [False, True])
def test_most_damage_that_shows_is_noted(progressive: bool) -> None:
    data = encode(CHEST, "JPEG", quality=85, progressive=progressive)
    sound, random = read_image(data).pixels, np.random.default_rng(0)
    shown = noted = 0
    for _ in range(60):
        damaged = bytearray(data)
        for position in random.integers(700, len(data) - 2, 2):
            damaged[position] = random.integers(255)
        try:
            image = read_image(bytes(damaged))
        except InputError:
            continue
        if image.pixels.shape == sound.shape and np.abs(image.pixels.astype(int) - sound).mean() > 3:
            shown += 1
            noted += any("its JPEG data are damaged" in note for note in image.notes)
    assert shown > 8 and noted >= 0.7 * shown


def test_data_that_stop_before_a_sound_end_marker() -> None:
    data = encode(CHEST, "JPEG", quality=85)
    image = read_image(data[: len(data) // 2] + b"\xff\xd9")
    assert any("its JPEG data are damaged" in note for note in image.notes)


def test_a_step_in_brightness() -> None:
    shifted = CHEST.copy()
    shifted[160:] = np.clip(shifted[160:].astype(int) + 30, 0, 255)
    assert has_step(shifted) and not has_step(CHEST)


def test_real_radiographs_are_not_called_damaged(radiographs: Path) -> None:
    paths = (
        sorted(radiographs.glob("native/*/*/*.jpeg"))[::3] + sorted(radiographs.glob("chest_xray_224/*/*/*.jpeg"))[::40]
    )
    assert len(paths) > 100
    for path in paths:
        assert decoder_complaint(path.read_bytes()) is None, path
        assert not any("damaged" in note for note in read_image(path).notes), path
