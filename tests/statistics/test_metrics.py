"""Point estimates against scikit-learn and slow direct code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumoscope.statistics.metrics import (
    Counts,
    Metric,
    confusion,
    decision_estimates,
    equal_mass_bins,
    expected_calibration_error,
    refusals_as_errors,
    score_estimates,
)

decided = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


@given(decided)
@settings(max_examples=60, deadline=None)
def test_figures_of_decisions_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, decisions = (np.array(column) for column in zip(*pairs, strict=True))
    estimates = decision_estimates(confusion(labels, decisions))
    options = {"zero_division": np.nan}
    expected = {
        Metric.ACCURACY: sk.accuracy_score(labels, decisions),
        Metric.SENSITIVITY: sk.recall_score(labels, decisions, **options),
        Metric.SPECIFICITY: sk.recall_score(labels, decisions, pos_label=0, **options),
        Metric.PRECISION: sk.precision_score(labels, decisions, **options),
        Metric.NPV: sk.precision_score(labels, decisions, pos_label=0, **options),
        Metric.F1: sk.f1_score(labels, decisions, **options),
    }
    if len(set(labels)) == 2:
        expected[Metric.BALANCED_ACCURACY] = sk.balanced_accuracy_score(labels, decisions)
        if len(set(decisions)) == 2:
            expected[Metric.MCC] = sk.matthews_corrcoef(labels, decisions)
    for metric, value in expected.items():
        mine = estimates.values[metric]
        assert (mine is None) == np.isnan(value), metric
        assert mine is None or mine == pytest.approx(value), metric
    for metric, mine in estimates.values.items():
        assert (mine is None) == (metric in estimates.undefined)


def test_refusals_count_as_wrong_in_every_figure_of_decisions() -> None:
    labels, decisions = np.array([0, 0, 1, 1]), np.array([0, -1, 1, -1])
    assert refusals_as_errors(labels, decisions).tolist() == [0, 1, 1, 0]
    assert confusion(labels, decisions) == Counts(tn=1, fp=1, fn=1, tp=1)


@pytest.mark.parametrize("decimals", [1, 9])
def test_figures_of_scores_agree_with_direct_code(decimals: int) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 120)
    scores = random.random(120).round(decimals)
    values = score_estimates(labels, scores).values
    wins = [(p > n) + (p == n) / 2 for p, n in itertools.product(scores[labels == 1], scores[labels == 0])]
    assert values[Metric.AUC] == pytest.approx(np.mean(wins))
    assert values[Metric.BRIER] == pytest.approx(np.mean((scores - labels) ** 2))
    cuts = np.unique(scores)[::-1]
    recalls = [0.0] + [(scores[labels == 1] >= cut).mean() for cut in cuts]
    precisions = [labels[scores >= cut].mean() for cut in cuts]
    assert values[Metric.AVERAGE_PRECISION] == pytest.approx(np.dot(np.diff(recalls), precisions))


def test_ece_agrees_with_direct_code_on_distinct_scores() -> None:
    random = np.random.default_rng(2)
    labels, scores = random.integers(0, 2, 150), random.random(150)
    chunks = np.array_split(np.argsort(scores), 15)  # 15 bins of 10 images
    expected = sum(abs(labels[c].mean() - scores[c].mean()) * len(c) / 150 for c in chunks)
    assert expected_calibration_error(labels, scores) == pytest.approx(expected)


def test_ece_of_known_cases() -> None:
    labels = np.array([0, 1] * 50)
    assert expected_calibration_error(labels, np.full(100, 0.5)) == pytest.approx(0)
    assert expected_calibration_error(labels, np.full(100, 0.9)) == pytest.approx(0.4)
    assert expected_calibration_error(np.array([1]), np.array([0.25])) == pytest.approx(0.75)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.randoms())
@settings(max_examples=50, deadline=None)
def test_bins_keep_ties_together_and_ignore_the_order_of_rows(values: list[int], random: object) -> None:
    scores = np.array(values) / 5
    bins = equal_mass_bins(scores)
    assert bins.min() >= 0
    assert bins.max() <= 14
    by_score = {score: set(bins[scores == score]) for score in scores}
    assert all(len(found) == 1 for found in by_score.values())
    order = np.random.default_rng(0).permutation(len(scores))
    assert np.array_equal(equal_mass_bins(scores[order]), bins[order])


def test_bins_of_distinct_scores_are_of_equal_mass() -> None:
    counts = np.bincount(equal_mass_bins(np.random.default_rng(0).random(1000)), minlength=15)
    assert counts.min() >= 66
    assert counts.max() <= 67


def test_figures_of_scores_with_one_class_or_none_say_why() -> None:
    one = score_estimates(np.zeros(3, dtype=np.int64), np.array([0.1, 0.2, 0.3]))
    assert one.values[Metric.AUC] is None
    assert one.undefined[Metric.AUC] == "no pneumonia among the judged images"
    assert one.values[Metric.BRIER] == pytest.approx(0.14 / 3)
    none = score_estimates(np.zeros(0, dtype=np.int64), np.zeros(0))
    assert set(none.values.values()) == {None}
    assert set(none.undefined.values()) == {"no image was judged"}
