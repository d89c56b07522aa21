"""The paired comparison against scipy, direct DeLong and repeated rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from pneumoscope.errors import DataError
from pneumoscope.model.prediction import Status
from pneumoscope.statistics.bootstrap import Resampling
from pneumoscope.statistics.compare import Rival, compare, mcnemar_test
from pneumoscope.statistics.intervals import delong
from pneumoscope.statistics.metrics import Metric
from pneumoscope.statistics.table import PredictionTable
from support.made_up_predictions import made_up_table

A = made_up_table(160, seed=1, skill=2.5)
B = replace(A, probabilities=made_up_table(160, seed=2, skill=1.0).probabilities)


def as_rival(table: PredictionTable, threshold: float = 0.5) -> Rival:
    return Rival(table, threshold, "balanced", {"name": "b"})


def test_mcnemar_is_the_exact_binomial_test() -> None:
    made = compare(A, 0.5, as_rival(B), draws=50).mcnemar
    right_a, right_b = (table.decisions(0.5) == A.labels for table in (A, B))
    assert made.only_a_right == (right_a & ~right_b).sum()
    assert made.only_b_right == (right_b & ~right_a).sum()
    discordant = made.only_a_right + made.only_b_right
    assert made.p_value == pytest.approx(binomtest(made.only_a_right, discordant).pvalue)


def test_delong_difference_uses_the_covariance() -> None:
    made = compare(A, 0.5, as_rival(B), draws=50).delong
    assert made is not None
    aucs = [roc_auc_score(A.labels, table.probabilities) for table in (A, B)]
    covariance = delong(A.labels, np.stack([A.probabilities, B.probabilities])).covariance
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert made.difference == pytest.approx(aucs[0] - aucs[1])
    assert made.p_value == pytest.approx(2 * norm.sf(abs(made.difference) / error))
    assert made.ci95 == pytest.approx((made.difference - 1.959964 * error, made.difference + 1.959964 * error))


def test_bootstrap_draws_the_same_patients_for_both() -> None:
    made = compare(A, 0.5, as_rival(B, 0.6), draws=40, seed=3).differences[Metric.AUC]
    resampling = Resampling.draw(A.patients, len(A), draws=40, seed=3)
    differences = []
    for counts in resampling.counts:
        rows = np.repeat(np.arange(len(A)), counts[resampling.cluster])
        first, second = (roc_auc_score(A.labels[rows], table.probabilities[rows]) for table in (A, B))
        differences.append(first - second)
    assert made.ci95_bootstrap == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))


def test_a_model_against_itself_differs_nowhere() -> None:
    made = compare(A, 0.5, as_rival(A), draws=30)
    assert made.mcnemar.p_value == 1.0
    assert made.delong is None
    assert "variance" in made.undefined["delong"]
    assert all(d.difference == 0 and d.ci95_bootstrap == (0, 0) for d in made.differences.values())


def test_order_of_the_rivals_rows_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(B))
    shuffled = PredictionTable.from_arrays(
        B.labels[order], B.probabilities[order], paths=[B.paths[row] for row in order]
    )
    assert compare(A, 0.5, as_rival(shuffled), draws=30) == compare(A, 0.5, as_rival(B), draws=30)


def test_refusals_count_against_the_model_that_refused() -> None:
    scores = A.probabilities.copy()
    scores[:20] = np.nan
    refusing = replace(A, probabilities=scores, statuses=(Status.REFUSED,) * 20 + A.statuses[20:])
    made = compare(A, 0.5, as_rival(refusing), draws=30)
    assert made.n_judged_by_both == 140
    assert made.mcnemar.only_a_right == (A.decisions(0.5) == A.labels)[:20].sum()
    assert made.differences[Metric.AUC].difference == 0


def test_other_images_and_other_labels_are_refused() -> None:
    fewer = PredictionTable.from_arrays(A.labels[1:], A.probabilities[1:], paths=A.paths[1:])
    with pytest.raises(DataError, match=r"160 and 159, 1 of .* test/image-0.jpeg"):
        compare(A, 0.5, as_rival(fewer))
    with pytest.raises(DataError, match=r"image-0\.jpeg: the two tables give it different labels"):
        compare(A, 0.5, as_rival(replace(A, labels=1 - A.labels)))


def test_mcnemar_without_a_difference() -> None:
    right = np.array([True, False])
    assert mcnemar_test(right, right).p_value == 1.0
