from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pneumoscope.imaging.reader import read_image
from pneumoscope.model.lungs import has_lungs, lung_box, lung_mask, lung_share
from support import phantom


def test_a_drawn_chest_has_two_lungs_where_they_were_drawn() -> None:
    mask = lung_mask(phantom.chest_phantom(400))
    assert mask.shape == (96, 96)
    assert has_lungs(mask)
    assert 0.1 < lung_share(mask) < 0.6
    assert mask[40, 28] > 0.5  # the middle of the one on the left
    assert mask[40, 67] > 0.5
    assert mask[2, 2] < 0.5


def test_the_box_moves_with_the_chest() -> None:
    chest = phantom.chest_phantom(400)
    below = np.vstack([np.zeros((200, 400), np.uint8), chest])
    box, moved = lung_box(lung_mask(chest)), lung_box(lung_mask(below))
    assert box is not None
    assert moved is not None
    assert moved[1] > box[1] + 0.1


def test_no_lungs_in_a_blank_picture() -> None:
    mask = lung_mask(np.full((300, 200), 128, np.uint8))
    assert not has_lungs(mask)
    assert lung_box(np.zeros((96, 96), np.float32)) is None


def test_threads_get_the_same_masks() -> None:
    pictures = [phantom.chest_phantom(224, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lung_mask, pictures))
    assert all(np.array_equal(a, lung_mask(picture)) for a, picture in zip(together, pictures, strict=True))


def test_drawn_lungs_of_real_radiographs_are_found(radiographs: Path) -> None:
    """People drew both lungs, the part behind the heart too; twenty of them, the mean Dice of which is the figure."""
    from PIL import Image

    scores = []
    for file in sorted((radiographs / "lung_masks" / "train").glob("*.png"))[::43]:
        drawn = np.asarray(Image.open(file).convert("L").resize((96, 96), Image.Resampling.BILINEAR)) > 127
        picture = next((radiographs / "chest_xray_224" / "train").glob(f"*/{file.stem}.jpeg"))
        found = lung_mask(read_image(picture).pixels) > 0.5
        scores.append(2 * (drawn & found).sum() / (drawn.sum() + found.sum()))
    assert len(scores) > 15
    assert np.mean(scores) > 0.93
