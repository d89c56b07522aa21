from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pneumoscope.evaluation.by_shortcut import by_shortcut
from pneumoscope.statistics.bootstrap import Resampling
from pneumoscope.statistics.table import PredictionTable


def table(labels: list[int], probabilities: list[float], scores: list[float]) -> PredictionTable:
    made = PredictionTable.from_arrays(labels, probabilities)
    return replace(made, shortcut=np.array(scores, np.float64))


def test_a_model_that_reads_the_framing_fails_where_it_misleads() -> None:
    """The model's probability is the score itself; 20 normals are framed as pneumonias are."""
    labels = [0] * 80 + [0] * 20 + [1] * 100
    scores = [0.02] * 80 + [0.97] * 20 + [0.98] * 91 + [0.1] * 9
    made = table(labels, scores, scores)
    found = by_shortcut(made, 0.5, Resampling.draw(None, 200, draws=200), limit=0.5, source="made up")
    assert found is not None
    worst = found.worst_json()
    assert worst is not None
    assert (worst["label"], worst["from"], worst["specificity"], worst["n"]) == ("NORMAL", 0.95, 0.0, 20)
    assert [group.to_json()["specificity"] for group in found.groups] == [1.0, None, None, None, 0.0]
    assert [group.to_json()["sensitivity"] for group in found.groups] == [None, 0.0, None, None, 1.0]
    assert sum(group.to_json()["n"] for group in found.groups) == 200
    conflict = found.to_json()["conflicting"]
    assert (conflict["n"], conflict["auc"]) == (29, 0.0)
    assert conflict["normal"]["specificity"] == 0.0
    assert found.to_json()["auc_without_lungs"] == pytest.approx(found.score_auc)


def test_a_model_that_reads_the_lungs_is_the_same_in_each_group() -> None:
    labels = [0, 1] * 50
    made = table(labels, [0.1, 0.9] * 50, list(np.linspace(0, 1, 100)))
    found = by_shortcut(made, 0.5, Resampling.draw(None, 100, draws=50), limit=0.5, source="made up")
    assert found is not None
    rates = [rate.value for group in found.groups for rate in group.rates.values() if rate.n]
    assert set(rates) == {1.0}
    assert found.conflicting_auc == 1.0
    assert found.conflicting_auc_ci95 is not None
    assert found.conflicting_auc_ci95[0] < 1  # a perfect ranking has an interval too


def test_refusals_are_errors_and_images_without_a_score_are_left_out() -> None:
    made = table([0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9], [0.5, float("nan"), 0.5, 0.5])
    found = by_shortcut(made, 0.5, Resampling.draw(None, 4, draws=20), limit=0.5, source="made up")
    assert found is not None
    assert found.scored == 3
    assert found.worst is None  # every group is too small
    assert (
        by_shortcut(replace(made, shortcut=None), 0.5, Resampling.draw(None, 4, draws=20), limit=0.5, source="") is None
    )
