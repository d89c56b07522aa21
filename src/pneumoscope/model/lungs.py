"""Where the lungs are in any picture, by the lung-field network alone: a graph of 0.4 MB that the package carries.

Models of this project that crop to the lungs hold the same network inside themselves; this one is for whatever must
know the lungs without such a model: the shortcut score, and tests of models without lungs.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.imaging.resize import shrink
from pneumoscope.model.runtime import SIGNATURE

GRAPH: Final = "lung-field.tflite"
SIDE: Final = 96
"""Height and width of what the network sees and of its mask, in pixels."""

LUNG: Final = 0.5
"""P(lung) from which a pixel counts as lung."""

LEAST_SHARE: Final = 0.03
"""Share of the picture that must be lung for lungs to be found."""

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]
Box = tuple[float, float, float, float]

_of_thread = threading.local()


def lung_mask(pixels: Pixels) -> Mask:
    """P(lung) of every part of a picture.

    Args:
        pixels: ``uint8 [H, W]`` grey levels, 0 black to 255 white, of any size; squashed to 96 x 96.

    Returns:
        ``float32 [96, 96]``, 0 to 1, over the whole picture; 0 throughout one of a single grey, which the network has
        no answer to, because it sees contrast only.
    """
    small = shrink(pixels, width=SIDE, height=SIDE)
    if small.min() == small.max():
        return np.zeros((SIDE, SIDE), np.float32)
    run = _runner()
    return np.array(run(image=small[None, :, :, None])["lungs"][0, :, :, 0])


def lung_share(mask: Mask) -> float:
    """Share of the picture that is lung, 0 to 1."""
    return float((mask > LUNG).mean())


def has_lungs(mask: Mask) -> bool:
    """Whether enough of the picture is lung to call it a chest."""
    return lung_share(mask) >= LEAST_SHARE


def lung_box(mask: Mask) -> Box | None:
    """The tightest box around what is lung: ``x0, y0, x1, y1`` as shares of width and height; ``None`` without lung."""
    lung = mask > LUNG
    if not lung.any():
        return None
    rows, columns = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
    height, width = mask.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


@cache
def _graph() -> bytes:
    return files("pneumoscope.model").joinpath(GRAPH).read_bytes()


def _runner() -> Any:
    """One interpreter a thread: LiteRT's are not safe for two at once."""
    if not hasattr(_of_thread, "run"):
        from ai_edge_litert.interpreter import Interpreter

        _of_thread.interpreter = Interpreter(model_content=_graph(), num_threads=1)
        _of_thread.run = _of_thread.interpreter.get_signature_runner(SIGNATURE)
    return _of_thread.run
