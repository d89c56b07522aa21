"""Drawn frontal chests, for trying everything out where there are no radiographs.

No real radiograph is copied: the picture is made of ellipses and arcs. A figure measured on it says nothing about a
model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.labels import Label


def chest_phantom(size: int | tuple[int, int] = 512, seed: int = 0, *, opacity: float = 0.0) -> NDArray[np.uint8]:
    """Draw a chest: body outline, lungs, ribs, heart, spine, and film noise.

    Args:
        size: side, or (height, width), in pixels.
        seed: varies anatomy and noise.
        opacity: strength 0 to 1 of a consolidation in the lower lung on the picture's left.

    Returns:
        ``uint8 [H, W]``, 0 black to 255 white.
    """
    height, width = (size, size) if isinstance(size, int) else size
    random = np.random.default_rng(seed)
    x = np.linspace(-1, 1, width)[None, :] + random.uniform(-0.04, 0.04)
    y = np.linspace(-1, 1, height)[:, None] + random.uniform(-0.04, 0.04)

    def ellipse(cx: float, cy: float, rx: float, ry: float, edge: float = 0.08) -> NDArray[np.float64]:
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return np.clip((1 - distance) / edge, 0, 1)

    picture = 14.0 + 128 * ellipse(0, 0.35, 0.93, 1.45)
    lungs = np.maximum(ellipse(-0.42, -0.08, 0.34, 0.66), ellipse(0.42, -0.08, 0.34, 0.66))
    picture -= 78 * lungs
    ribs = np.maximum(0, np.sin((y + 0.45 * x**2) * 26 + random.uniform(0, 6))) ** 3
    picture += 26 * ribs * ellipse(0, -0.1, 0.82, 0.8)
    picture += 70 * np.exp(-((x / 0.11) ** 2)) * (0.8 + 0.2 * np.sin(y * 34))
    picture += 62 * ellipse(0.14, 0.28, 0.34, 0.36, edge=0.15)
    picture += 72 * np.clip((y - 0.5 + 0.18 * np.cos(x * 5)) / 0.12, 0, 1) * ellipse(0, 0.35, 0.93, 1.45)
    if opacity:
        picture += 90 * opacity * np.exp(-(((x + 0.42) / 0.2) ** 2 + ((y - 0.2) / 0.22) ** 2)) * lungs
    picture += random.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_phantom_data(folder: Path, *, patients: int = 30, size: int = 96) -> Path:
    """Write a data folder of drawn chests: ``train/NORMAL`` and ``train/PNEUMONIA``, named as the Kermany data are.

    Args:
        folder: new, or without ``train``.
        patients: of each class, one image each; pneumonias carry an opacity.
        size: side of the images in pixels.

    Returns:
        The folder.
    """
    for label in Label:
        (folder / "train" / label).mkdir(parents=True)
    for number in range(1, patients + 1):
        agent = "bacteria" if number % 3 else "virus"
        for label, name, opacity in (
            (Label.NORMAL, f"IM-{number:04d}-0001.png", 0.0),
            (Label.PNEUMONIA, f"person{number}_{agent}_{number}.png", 1.0),
        ):
            picture = chest_phantom(size, seed=number + 1000 * bool(opacity), opacity=opacity)
            Image.fromarray(picture).save(folder / "train" / label / name)
    return folder
