"""The pictures of a response, as PNG data URIs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.drawing.heatmap import overlay
from pneumoscope.drawing.png import data_uri, encode_png

LONGEST_SIDE: Final = 1024
"""Pixels. Larger radiographs are shrunk: enough for a screen, and a response stays below 4 MB."""


def radiograph_uri(pixels: NDArray[np.uint8]) -> str:
    """A radiograph, ``uint8 [H, W]``, as a grey PNG."""
    return data_uri(encode_png(fit(pixels)))


def overlay_uri(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32], opacity: float) -> str:
    """A heatmap over a radiograph as an RGB PNG of the same size as :func:`radiograph_uri` gives.

    With ``opacity=1``, laying it over the radiograph at a share ``s`` gives exactly the overlay of opacity ``s``: the
    page's slider needs no second request.
    """
    return data_uri(encode_png(overlay(fit(pixels), heatmap, opacity=opacity)))


def fit(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink a radiograph, ``uint8 [H, W]``, to what a screen shows: :data:`LONGEST_SIDE` at most."""
    height, width = pixels.shape
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    # For the eye only: what the model sees is made by imaging.resize.
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
