"""A small data folder in the seed's layout, drawn with the phantom: normals, and chests with an opacity."""

from __future__ import annotations

from pathlib import Path

import phantom
from pneumoscope.training.recipe import Recipe, Stage


def write_tiny_data(folder: Path, *, patients: int = 30, size: int = 96) -> Path:
    """Write ``train/NORMAL`` and ``train/PNEUMONIA`` with one image for each of ``patients`` patients a class."""
    for label in ("NORMAL", "PNEUMONIA"):
        (folder / "train" / label).mkdir(parents=True)
    for number in range(1, patients + 1):
        agent = "bacteria" if number % 3 else "virus"
        for label, name, opacity in (
            ("NORMAL", f"IM-{number:04d}-0001.png", 0.0),
            ("PNEUMONIA", f"person{number}_{agent}_{number}.png", 1.0),
        ):
            picture = phantom.chest_phantom(size, seed=number + 1000 * bool(opacity), opacity=opacity)
            (folder / "train" / label / name).write_bytes(phantom.encode(picture))
    return folder


TINY = Recipe(
    name="tiny",
    network="pneumonet",
    stages=(Stage(1, 32), Stage(2, 64)),
    batch_size=8,
    learning_rate=1e-3,
    ema=0.9,
)
