from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumoscope.datasets.audit.label_errors import Predicted, read_predictions, suspected
from pneumoscope.errors import DataError
from pneumoscope.labels import Label


def test_confident_contradictions_are_found_most_confident_first() -> None:
    # Thresholds: pneumonia mean(.9, .8, .95, .1) = .6875; normal mean(.9, .8, .05, .35) = .525.
    probability = np.array([0.9, 0.8, 0.95, 0.1, 0.1, 0.2, 0.95, 0.65])
    positive = np.array([True, True, True, True, False, False, False, False])
    # 6: normal with .95 (margin .9); 3: pneumonia with .1 (margin .8); 7 stays under pneumonia's threshold.
    assert suspected(positive, probability).tolist() == [6, 3]


def test_follows_the_definition_of_the_confident_joint() -> None:
    rng = np.random.default_rng(2)
    positive = rng.random(400) < 0.7
    probability = np.clip(np.where(positive, 0.8, 0.25) + rng.normal(0, 0.25, 400), 0, 1)
    threshold = {1: probability[positive].mean(), 0: (1 - probability[~positive]).mean()}
    expected = set()
    for index, (label, p) in enumerate(zip(positive, probability, strict=True)):
        reached = [(value, k) for k, value in ((0, 1 - p), (1, p)) if value >= threshold[k]]
        if reached and max(reached)[1] != label:
            expected.add(index)
    assert set(suspected(positive, probability).tolist()) == expected
    assert len(expected) > 5


def test_only_planted_errors_are_suspected_and_most_of_them() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(1000) < 0.6
    probability = np.clip(np.where(truth, 0.92, 0.08) + rng.normal(0, 0.03, 1000), 0, 1)
    flipped = rng.choice(1000, 20, replace=False)
    labels = truth.copy()
    labels[flipped] ^= True
    found = set(suspected(labels, probability).tolist())
    assert found <= set(flipped.tolist())
    assert len(found) >= 15  # those below the other class's mean are not counted, by definition


def test_one_class_gives_no_suspects() -> None:
    assert suspected(np.ones(3, bool), np.array([0.1, 0.5, 0.9])).size == 0


def test_reads_what_evaluate_writes(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text("path,label,probability,decision\na.png,NORMAL,0.25,NORMAL\nb.png,PNEUMONIA,,\n")
    assert read_predictions(file) == [Predicted("a.png", Label.NORMAL, 0.25), Predicted("b.png", Label.PNEUMONIA, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,NORMAL\n", "no column probability"),
        ("path,label,probability\na,SICK,0.5\n", "line 2: 'SICK' is not a valid Label"),
        ("path,label,probability\na,NORMAL,high\n", "line 2: could not convert"),
        ("path,label,probability\na,NORMAL,1.5\n", "line 2: probability 1.5 is not within 0 to 1"),
    ],
)
def test_faulty_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_predictions(file)
