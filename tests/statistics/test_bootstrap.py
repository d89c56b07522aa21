"""The vectorised bootstrap against scikit-learn on rows that are really repeated."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.stats import binom

from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.bootstrap import (
    ROC_GRID,
    Resampling,
    decision_draws,
    percentile_band,
    percentile_interval,
    score_draws,
)
from pneumoscope.statistics.metrics import Metric, expected_calibration_error
from pneumoscope.statistics.operating_points import at_sensitivity
from support.made_up_predictions import made_up_table


@pytest.mark.parametrize("ties", [False, True])
def test_each_draw_equals_scikit_learn_on_the_repeated_rows(ties: bool) -> None:
    table = made_up_table(150, seed=4, ties=ties)
    decisions = table.decisions(0.6)
    resampling = Resampling.draw(table.patients, len(table), draws=12, seed=1)
    made = score_draws(resampling, table.labels, table.probabilities, table.judged, (0.9, 0.99))
    by_decision = decision_draws(resampling, table.labels, decisions)
    for draw, counts in enumerate(resampling.counts):
        rows = np.repeat(np.arange(len(table)), counts[resampling.cluster])
        labels, scores, called = table.labels[rows], table.probabilities[rows], decisions[rows]
        expected = {
            Metric.AUC: sk.roc_auc_score(labels, scores),
            Metric.AVERAGE_PRECISION: sk.average_precision_score(labels, scores),
            Metric.BRIER: sk.brier_score_loss(labels, scores),
            Metric.ECE: expected_calibration_error(labels, scores),
            Metric.ACCURACY: sk.accuracy_score(labels, called),
            Metric.BALANCED_ACCURACY: sk.balanced_accuracy_score(labels, called),
            Metric.SENSITIVITY: sk.recall_score(labels, called),
            Metric.SPECIFICITY: sk.recall_score(labels, called, pos_label=0),
            Metric.PRECISION: sk.precision_score(labels, called),
            Metric.NPV: sk.precision_score(labels, called, pos_label=0),
            Metric.F1: sk.f1_score(labels, called),
            Metric.MCC: sk.matthews_corrcoef(labels, called),
        }
        for metric, value in expected.items():
            assert {**made.metrics, **by_decision}[metric][draw] == pytest.approx(value), metric
        for wanted, specificities in made.specificity_at.items():
            assert specificities[draw] == pytest.approx(at_sensitivity(labels, scores, wanted).specificity)
        fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
        area = float(np.trapezoid(np.interp(ROC_GRID, fpr, tpr), ROC_GRID))
        assert float(np.trapezoid(made.tpr[draw], ROC_GRID)) == pytest.approx(area)


def test_patients_are_drawn_whole_and_unknown_ones_alone() -> None:
    resampling = Resampling.draw(["a", None, "a", None], 4, draws=50)
    assert resampling.cluster[0] == resampling.cluster[2]
    assert len(set(resampling.cluster)) == 3
    assert (resampling.counts.sum(axis=1) == 3).all()


def test_interval_of_a_proportion_agrees_with_the_binomial() -> None:
    hits = np.arange(100) < 80
    resampling = Resampling.draw(None, 100, draws=4000)
    interval = percentile_interval(resampling.proportion(hits, np.ones(100, dtype=bool)))
    assert interval == pytest.approx(tuple(binom.ppf([0.025, 0.975], 100, 0.8) / 100), abs=0.011)


def test_clustering_widens_the_interval_where_patients_repeat() -> None:
    hits = np.arange(200) < 150
    everything = np.ones(200, dtype=bool)
    patients = [str(row // 10) for row in range(200)]  # all ten images of a patient are alike
    alone = percentile_interval(Resampling.draw(None, 200).proportion(hits, everything))
    clustered = percentile_interval(Resampling.draw(patients, 200).proportion(hits, everything))
    assert alone is not None
    assert clustered is not None
    assert clustered[1] - clustered[0] > 2.5 * (alone[1] - alone[0])


def test_same_seed_same_draws() -> None:
    first, second, other = (Resampling.draw(None, 30, draws=5, seed=s).counts for s in (7, 7, 8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_draws_without_trials_are_left_out_and_too_many_give_no_interval() -> None:
    assert percentile_interval(np.array([np.nan, 0.5, 0.5])) == (0.5, 0.5)
    assert percentile_interval(np.array([np.nan, np.nan, 0.5])) is None
    assert percentile_band(np.full((4, 3), np.nan)) is None


def test_many_patients_are_drawn_anew_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Resampling.draw(None, 40, draws=120, seed=3)
    ones = np.ones(40)
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_KEPT", 0)
        again = Resampling.draw(None, 40, draws=120, seed=3)
        assert [len(chunk) for chunk in again.chunks()] == [50, 50, 20]
        np.testing.assert_array_equal(again.counts, kept.counts)
        np.testing.assert_array_equal(again.totals(ones), kept.totals(ones))
        assert "_few" not in vars(again)
    assert (kept.totals(ones) == 40).all()
