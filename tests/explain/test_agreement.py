from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from pneumoscope.evaluation.explanations.agreement import (
    SHIFT,
    lung_share,
    rank_correlation,
    shift_stability,
)


def test_rank_correlation_is_pearsons_of_ranks() -> None:
    random = np.random.default_rng(0)
    a, b = random.random((5, 6)), random.random((5, 6)).round(1)
    expected = np.corrcoef(rankdata(a), rankdata(b))[0, 1]
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert rank_correlation(a, np.exp(9 * a)) == pytest.approx(1)
    assert math.isnan(rank_correlation(a, np.zeros((5, 6))))


def blocks(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A heatmap that is the image itself, at full resolution: it moves exactly with the image."""
    return pixels.astype(np.float32)


def test_an_explanation_that_moves_with_the_image_is_stable() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert shift_stability(pixels, blocks(pixels), blocks) == pytest.approx(1)


def test_an_explanation_that_stays_where_it_is_or_jumps_is_not() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 64), dtype=np.uint8)
    heat = random.random((64, 64)).astype(np.float32)
    assert abs(shift_stability(pixels, heat, lambda _: heat)) < 0.2
    assert math.isnan(shift_stability(pixels, heat, lambda _: np.zeros((4, 4), np.float32)))


def test_every_direction_is_tried_and_shifted_by_the_stated_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    seen: list[Any] = []

    def explain(moved: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(moved)
        return blocks(moved)

    shift_stability(pixels, blocks(pixels), explain)
    right, left, down, up = seen
    np.testing.assert_array_equal(right[:, SHIFT:], pixels[:, :-SHIFT])
    np.testing.assert_array_equal(left[:, :-SHIFT], pixels[:, SHIFT:])
    np.testing.assert_array_equal(down[SHIFT:], pixels[:-SHIFT])
    np.testing.assert_array_equal(up[:-SHIFT], pixels[SHIFT:])


def test_lung_share_of_uniform_inner_and_outer_heat() -> None:
    uniform = np.ones((10, 10), np.float32)
    lungs = np.zeros((100, 100), bool)
    lungs[10:80, 10:90] = True
    assert lung_share(uniform, lungs) == pytest.approx(0.56)
    inner = np.zeros((100, 100), np.float32)
    inner[40:60, 40:60] = 1
    assert lung_share(inner, lungs) == 1
    outer = np.zeros((100, 100), np.float32)
    outer[:5] = 1
    assert lung_share(outer, lungs) == 0
    assert math.isnan(lung_share(np.zeros((7, 7), np.float32), lungs))
    assert math.isnan(lung_share(uniform, np.zeros((100, 100), bool)))
