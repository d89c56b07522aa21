from __future__ import annotations

import numpy as np
import pytest

from pneumoscope.imaging.resize import shrink
from support.phantom import chest_phantom


def triangle_weights(source: int, target: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Written from the definition: a triangle as wide as two target pixels, on pixel centres."""
    scale = source / target
    centres = (np.arange(target)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(source)[None, :] + 0.5 - centres) / max(scale, 1))
    normalised = weights / weights.sum(axis=1, keepdims=True)
    return np.asarray(normalised)


@pytest.mark.parametrize("shape", [(224, 224), (500, 700), (1000, 300), (130, 140)])
def test_equals_the_triangle_filter_by_definition(shape: tuple[int, int]) -> None:
    pixels = chest_phantom(shape)
    expected = triangle_weights(shape[0], 224) @ pixels @ triangle_weights(shape[1], 224).T
    # Pillow rounds to 8 bit between the two passes.
    assert np.abs(shrink(pixels, width=224, height=224) - expected).max() <= 1.01


def test_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (448, 336))
    shrunk = shrink(stripes, width=84, height=64)
    assert shrunk.shape == (64, 84)
    # Sampling would give 0 or 255; the edge columns see half a filter.
    assert (np.abs(shrunk[:, 1:-1].astype(int) - 127) <= 1).all()


def test_returns_a_copy_at_the_same_size() -> None:
    pixels = chest_phantom(128)
    same = shrink(pixels, width=128, height=128)
    assert np.array_equal(same, pixels)
    assert not np.shares_memory(same, pixels) and same.flags.writeable and same.flags.c_contiguous


def test_accepts_any_memory_layout() -> None:
    pixels = chest_phantom((300, 200))
    assert np.array_equal(
        shrink(pixels.T, width=64, height=64), shrink(np.ascontiguousarray(pixels.T), width=64, height=64)
    )


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.float32), np.zeros((8, 8, 1), np.uint8), np.zeros((0, 8), np.uint8)]
)
def test_refuses_other_arrays(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        shrink(pixels, width=4, height=4)
