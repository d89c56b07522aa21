"""What the tests of the data room share beside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support import phantom

Write = Callable[..., Path]
"""``write("train/NORMAL/a.png", seed=3)`` or ``write(place, data=b"...")``: the fixture of that name."""


def cloud(seed: int, size: int = 160) -> NDArray[np.uint8]:
    """A smooth grey picture that is unlike that of any other seed: ``uint8 [size, size]``."""
    return np.ascontiguousarray(phantom.colour_photo(size, seed)[..., 0])
