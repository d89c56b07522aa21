"""Weights that make a shortcut worthless."""

from __future__ import annotations

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.statistics.weighting import class_weights, effective_size, overlap_weights, weighted_auc


def framed(n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and a shortcut score that tells them apart well."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < 0.7).astype(np.int64)
    return labels, 1 / (1 + np.exp(-(generator.normal(size=n) + 3 * (labels - 0.5))))


def test_class_weights_give_each_class_one_half() -> None:
    weights = class_weights(np.array([0, 1, 1, 1]))
    assert weights.tolist() == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6])


def test_under_overlap_weights_the_shortcut_tells_nothing() -> None:
    labels, shortcut = framed()
    weights = overlap_weights(labels, shortcut)
    assert weights.sum() == pytest.approx(1)
    assert weights[labels == 1].sum() == pytest.approx(0.5)
    assert weighted_auc(labels, shortcut, np.ones(len(labels))) > 0.95
    assert weighted_auc(labels, shortcut, weights) == pytest.approx(0.5, abs=0.02)
    odds = np.log(shortcut / (1 - shortcut))
    means = [np.average(odds[labels == label], weights=weights[labels == label]) for label in (0, 1)]
    assert means[0] == pytest.approx(means[1], abs=5e-3)  # the balance that the paper promises


def test_effective_size() -> None:
    assert effective_size(np.ones(7)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert effective_size(np.zeros(3)) == 0


def test_refuses_one_class_and_missing_scores() -> None:
    with pytest.raises(DataError, match="one class"):
        class_weights(np.ones(3, dtype=np.int64))
    with pytest.raises(DataError, match="shortcut score is missing"):
        overlap_weights(np.array([0, 1]), np.array([0.5, np.nan]))
