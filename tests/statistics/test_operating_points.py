"""Thresholds chosen from scores against direct search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumoscope.errors import DataError
from pneumoscope.statistics.operating_points import (
    PLATEAU_TOLERANCE,
    OperatingPointName,
    at_sensitivity,
    choose_operating_points,
)

examples = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(examples)
@settings(max_examples=150, deadline=None)
def test_points_reach_what_they_promise_and_none_is_better(rows: list[tuple[int, float]]) -> None:
    labels, scores = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    points = choose_operating_points(labels, scores)

    def reached(threshold: float) -> tuple[float, float]:
        called = scores >= threshold
        return float(called[labels == 1].mean()), float(1 - called[labels == 0].mean())

    for point in points.values():
        assert reached(point.threshold) == pytest.approx((point.sensitivity, point.specificity))
    cuts = [reached(t) for t in [*scores, 1.0]]
    best = max(sensitivity + specificity for sensitivity, specificity in cuts)
    balanced, sensitive, specific = (points[name] for name in OperatingPointName)
    assert balanced.sensitivity + balanced.specificity >= best - PLATEAU_TOLERANCE - 1e-9
    assert sensitive.sensitivity >= 0.99
    assert sensitive.specificity == pytest.approx(max(sp for se, sp in cuts if se >= 0.99))
    if any(sp >= 0.97 for _, sp in cuts):
        assert specific.specificity >= 0.97
        assert specific.sensitivity == pytest.approx(max(se for se, sp in cuts if sp >= 0.97))


def test_balanced_lies_midway_between_separated_classes() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert choose_operating_points(labels, scores)[OperatingPointName.BALANCED].threshold == pytest.approx(0.5)


def test_balanced_ignores_a_lone_spike() -> None:
    random = np.random.default_rng(0)
    labels = (np.arange(4000) % 2).astype(np.int64)
    scores = 1 / (1 + np.exp(-(random.normal(size=4000) + 3 * (labels - 0.5))))
    thresholds = [
        choose_operating_points(labels[part], scores[part])[OperatingPointName.BALANCED].threshold
        for part in (slice(0, 2000), slice(2000, 4000))
    ]
    assert thresholds == pytest.approx([0.5, 0.5], abs=0.08)


def test_a_threshold_keeps_away_from_scores() -> None:
    """Three scores on the plateau, one of them right in its middle: the threshold goes to the wider gap beside it."""
    labels = np.array([0] * 300 + [1, 0, 0] + [1] * 300)
    scores = np.concatenate([np.full(300, 0.1), [0.2, 0.5, 0.55], np.full(300, 0.9)])
    threshold = choose_operating_points(labels, scores)[OperatingPointName.BALANCED].threshold
    assert 0.55 < threshold < 0.9
    assert np.abs(scores - threshold).min() > 0.05


def test_at_sensitivity_takes_the_lowest_score_that_is_needed() -> None:
    labels, scores = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    point = at_sensitivity(labels, scores, 0.6)
    assert (point.threshold, point.sensitivity, point.specificity) == pytest.approx((0.7, 2 / 3, 0.5))


@pytest.mark.parametrize("labels", [[1, 1], [0, 0]])
def test_one_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match="one class"):
        choose_operating_points(np.array(labels), np.array([0.2, 0.8]))


def test_missing_score_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        choose_operating_points(np.array([0, 1]), np.array([0.2, np.nan]))


def test_names_stay_true_where_balanced_is_beyond_the_wanted_rates() -> None:
    """Perfectly apart, so balanced has every rate at 1: neither other point may be less than its name says."""
    labels = np.repeat([0, 1], 100)
    scores = np.r_[np.linspace(0.01, 0.3, 100), np.linspace(0.7, 0.99, 100)]
    points = choose_operating_points(labels, scores)
    thresholds = [
        points[OperatingPointName(name)].threshold for name in ("high_sensitivity", "balanced", "high_specificity")
    ]
    assert thresholds == sorted(thresholds)
    assert points[OperatingPointName.HIGH_SPECIFICITY].specificity == 1
    assert points[OperatingPointName.HIGH_SENSITIVITY].sensitivity == 1
