"""A data folder drawn by the tests, and a writer of single images."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import phantom
from support.data_helpers import Write, cloud


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write one image under the data folder."""

    def write_one(place: str, *, seed: int | None = None, data: bytes | None = None) -> Path:
        path = tmp_path / "data" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            data = phantom.encode(cloud(sum(place.encode()) * 1009 if seed is None else seed))
        path.write_bytes(data)
        return path

    return write_one


@pytest.fixture
def data_dir(tmp_path: Path, write: Write) -> Path:
    """``train`` with 12 patients a class, ``val`` with 2; no fault in it."""
    for split, first, last in (("train", 1, 12), ("val", 101, 102)):
        for number in range(first, last + 1):
            agent = "bacteria" if number % 3 else "virus"
            write(f"{split}/NORMAL/IM-{number:04d}-0001.png", seed=number)
            write(f"{split}/PNEUMONIA/person{number}_{agent}_{number}.png", seed=1000 + number)
    return tmp_path / "data"
