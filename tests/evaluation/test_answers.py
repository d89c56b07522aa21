"""What answers are worth at a site."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pneumoscope.evaluation.answers import labels_needed, lines, worth
from pneumoscope.model.contract import ConformalBand
from pneumoscope.statistics.table import PredictionTable
from support.made_up_predictions import made_up_table


def test_sets_are_counted_by_class_and_decided_ones_are_better() -> None:
    table = made_up_table(600, skill=2.0)
    answers = worth(table, 0.5, ConformalBand(0.9, 0.3, 0.7))
    assert answers.sets is not None
    normal = answers.sets.by_class["NORMAL"]
    scores = table.probabilities[table.labels == 0]
    assert normal.coverage == pytest.approx((scores <= 0.7).mean())
    assert normal.uncertain == pytest.approx(((scores >= 0.3) & (scores <= 0.7)).mean())
    assert answers.sets.decided_accuracy is not None and answers.sets.undecided_accuracy is not None
    assert answers.sets.decided_accuracy[0] > answers.sets.undecided_accuracy[0]
    json.dumps(answers.to_json(), allow_nan=False)
    assert answers.to_json()["images_to_label"] == labels_needed(0.9)


def test_a_broken_promise_is_said() -> None:
    labels = np.repeat([0, 1], 100)
    table = PredictionTable.from_arrays(labels, np.full(200, 0.9))
    answers = worth(table, 0.5, ConformalBand(0.9, 0.4, 0.6))
    told = "\n".join(lines(answers))
    assert "coverage of NORMAL  0.0 %" in told
    assert told.count("the promise is not kept here") == 1
    assert answers.to_json()["prediction_sets"]["by_class"]["NORMAL"]["kept"] is False


def test_a_model_without_sets_and_a_site_of_one_class() -> None:
    assert worth(made_up_table(100), 0.5).sets is None
    alone = PredictionTable.from_arrays(np.ones(30, dtype=np.int64), np.linspace(0, 1, 30))
    answers = worth(alone, 0.5, ConformalBand(0.9, 0.4, 0.6))
    assert answers.diagnostic is None
    assert answers.sets is not None and list(answers.sets.by_class) == ["PNEUMONIA"]
    assert any("label of each class: 385 for +- 3%, 139 for +- 5%" in line for line in lines(answers))
