"""Insertion and deletion on scores that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.evaluation.explanations.perturbation import (
    Perturbation,
    area,
    centre_blob,
    log_odds,
    random_heat,
    upsampled,
)

PIXELS = np.full((40, 40), 100, np.uint8)
PIXELS[:20] = 200  # mean 150


def upper_half(pixels: NDArray[np.uint8]) -> float:
    """A model that looks at the upper half only: log odds 6 times the share of it that is as it was, less 3."""
    return 1 / (1 + math.exp(-(6 * float((pixels[:20] == 200).mean()) - 3)))


def test_a_heatmap_of_what_the_model_uses_has_the_known_areas() -> None:
    heat = np.zeros((2, 2), np.float32)
    heat[0] = 1
    curves = Perturbation(PIXELS, upper_half).curves(heat, np.random.default_rng(0))
    share = np.linspace(0, 1, 11)
    np.testing.assert_allclose(curves.insertion, 6 * np.minimum(2 * share, 1) - 3, atol=1e-6)
    np.testing.assert_allclose(curves.deletion, 3 - 6 * np.minimum(2 * share, 1), atol=1e-6)
    assert area(curves.insertion) == pytest.approx(1.5)
    assert area(curves.deletion) == pytest.approx(-1.5)


def test_the_opposite_heatmap_is_the_worst_and_a_random_one_between() -> None:
    best, worst = np.array([[1, 1], [0, 0]], np.float32), np.array([[0, 0], [1, 1]], np.float32)
    random = np.random.default_rng(0)
    perturbation = Perturbation(PIXELS, upper_half)
    areas = [area(perturbation.curves(heat, random).insertion) for heat in (best, random_heat((20, 20), random), worst)]
    assert areas == sorted(areas, reverse=True)
    assert areas[1] == pytest.approx(0, abs=0.3)


def test_pixels_of_equal_heat_come_in_random_order() -> None:
    curves = Perturbation(PIXELS, upper_half).curves(np.zeros((2, 2), np.float32), np.random.default_rng(0))
    np.testing.assert_allclose(curves.insertion, 6 * np.linspace(0, 1, 11) - 3, atol=0.4)


def test_log_odds_are_cut_where_float32_ends() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0)) == pytest.approx(16.1, abs=0.1)


def test_centre_blob_is_hottest_in_the_middle_and_symmetric() -> None:
    blob = centre_blob((7, 9))
    assert blob.argmax() == 3 * 9 + 4
    np.testing.assert_allclose(blob, blob[::-1, ::-1])


def test_upsampling_keeps_values_and_places() -> None:
    heat = np.array([[0, 0], [0, 1]], np.float32)
    large = upsampled(heat, (40, 80))
    assert large.shape == (40, 80)
    assert large[-1, -1] == pytest.approx(1)
    assert large[0, 0] == 0
