"""Interval estimates against direct implementations and published properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pneumoscope.statistics.intervals import delong, newcombe_auc, wilson


def slow_delong(
    labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUCs and covariance from the paper's kernel, one pair of images at a time."""
    kernels = []
    for model in scores:
        positive, negative = model[labels == 1], model[labels == 0]
        kernels.append([[1.0 if p > n else 0.5 if p == n else 0.0 for n in negative] for p in positive])
    psi = np.array(kernels)
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    s10 = np.atleast_2d(np.cov(v10)) / v10.shape[1]
    s01 = np.atleast_2d(np.cov(v01)) / v01.shape[1]
    return psi.mean(axis=(1, 2)), s10 + s01


@pytest.mark.parametrize("decimals", [1, 9])
def test_delong_agrees_with_the_direct_implementation(decimals: int) -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 90)
    scores = (random.normal(size=(3, 90)) + labels * np.array([[2.0], [1.0], [0.0]])).round(decimals)
    fast = delong(labels, scores)
    aucs, covariance = slow_delong(labels, scores)
    assert fast.aucs == pytest.approx(aucs)
    assert fast.covariance == pytest.approx(covariance)
    assert fast.aucs == pytest.approx([roc_auc_score(labels, s) for s in scores])


def test_delong_interval_is_the_normal_one_inside_the_unit_interval() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    estimate = delong(labels, np.array([0.1, 0.4, 0.5, 0.45, 0.8, 0.9]))
    interval = estimate.interval()
    assert interval is not None
    half = 1.959964 * math.sqrt(estimate.covariance[0, 0])
    assert interval == pytest.approx((8 / 9 - half, min(1.0, 8 / 9 + half)))


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]), ([0, 0, 1, 1], [0.5] * 4), ([0, 1, 1], [0.5, 0.4, 0.6])],
    ids=["perfect", "all tied", "one image of a class"],
)
def test_delong_gives_no_interval_where_it_cannot(labels: list[int], scores: list[float]) -> None:
    assert delong(np.array(labels), np.array(scores)).interval() is None


def test_delong_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes"):
        delong(np.array([1, 1]), np.array([0.5, 0.6]))


@given(st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_wilson_agrees_with_scipy(hits: int, more: int) -> None:
    expected = binomtest(hits, hits + more).proportion_ci(method="wilson")
    assert wilson(hits, hits + more) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_trials_is_none() -> None:
    assert wilson(0, 0) is None


@given(st.floats(0, 1), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=80, deadline=None)
def test_newcombe_contains_the_auc_and_mirrors(auc: float, positives: int, negatives: int) -> None:
    low, high = newcombe_auc(auc, positives, negatives)
    assert 0 <= low <= auc + 1e-9
    assert auc - 1e-9 <= high <= 1
    mirrored = newcombe_auc(1 - auc, negatives, positives)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_newcombe_limit_solves_its_equation_by_grid() -> None:
    grid = np.linspace(0, 1, 200_001)
    m, n = 30, 50
    variance = grid * (1 - grid) / (m * n) * (1 + ((m + n) / 2 - 1) * ((1 - grid) / (2 - grid) + grid / (1 + grid)))
    inside = grid[np.abs(1.0 - grid) <= 1.959964 * np.sqrt(variance)]
    assert newcombe_auc(1.0, m, n) == pytest.approx((inside.min(), 1.0), abs=1e-5)


def test_difference_of_two_of_several_aucs_is_that_of_the_two_alone() -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(60) % 2
    scores = rng.normal(size=(3, 60)) + labels * np.array([[1.5], [1.0], [0.5]])
    of_three, of_two = delong(labels, scores), delong(labels, scores[[2, 0]])
    interval = of_three.difference_interval(2, 0)
    assert interval is not None
    assert interval == pytest.approx(of_two.difference_interval())
    assert sum(interval) / 2 == pytest.approx(of_three.aucs[2] - of_three.aucs[0])
    error = of_three.difference_error(2, 0)
    variance = of_three.covariance[2, 2] + of_three.covariance[0, 0] - 2 * of_three.covariance[2, 0]
    assert error == pytest.approx(variance**0.5)
    assert of_three.difference_error(1, 1) is None
