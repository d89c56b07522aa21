"""The table of predictions: its checks and its CSV form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.model.prediction import Status
from pneumoscope.statistics.table import PredictionTable
from support.made_up_predictions import made_up_table


def written(folder: Path, text: str) -> Path:
    file = folder / "predictions.csv"
    file.write_text(text, encoding="utf-8")
    return file


def with_refusals(table: PredictionTable) -> PredictionTable:
    probabilities = table.probabilities.copy()
    probabilities[:2] = np.nan
    return replace(table, probabilities=probabilities, statuses=(Status.REFUSED, Status.ERROR, *table.statuses[2:]))


def test_csv_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    table = with_refusals(made_up_table(30))
    assert table.patients is not None
    table = replace(
        table,
        paths=('test/with, comma and "quotes".jpeg', *table.paths[1:]),
        patients=(None, *table.patients[1:]),
        typicality=np.linspace(0, 1, 30),
        sha256=(None, *("ab" * 32 for _ in range(29))),
    )
    read = PredictionTable.read_csv(written(tmp_path, table.to_csv(0.41)))
    for name in ("paths", "statuses", "subtypes", "patients", "sha256"):
        assert getattr(read, name) == getattr(table, name)
    for name in ("labels", "probabilities", "typicality", "subtype_probabilities"):
        np.testing.assert_array_equal(getattr(read, name), getattr(table, name))
    assert read.threshold == 0.41
    assert read.digest() == table.digest()
    assert read.to_csv(0.41) == table.to_csv(0.41)


def test_a_table_from_elsewhere_needs_three_columns(tmp_path: Path) -> None:
    table = PredictionTable.read_csv(
        written(tmp_path, "label,probability,path\n1,0.9,a.png\nnormal,0.2,b.png\n0,,c.png\n")
    )
    assert table.labels.tolist() == [1, 0, 0]
    assert table.statuses == (Status.OK, Status.OK, Status.REFUSED)
    assert table.patients is None
    assert table.threshold is None


def test_threshold_is_inferred_from_decisions(tmp_path: Path) -> None:
    text = "path,label,probability,decision\na,1,0.9,PNEUMONIA\nb,0,0.7,PNEUMONIA\nc,0,0.6,NORMAL\n"
    assert PredictionTable.read_csv(written(tmp_path, text)).threshold == 0.7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path, label, probability"),
        ("path,label\na,1\n", "no column probability"),
        ("path,label,probability\n", "no predictions"),
        ("path,label,probability\na,1,0.5\nb,COVID,0.5\n", r"row 1 \(b\): unknown label 'COVID'"),
        ("path,label,probability\na,1,0.5\nb,0,nan\n", r"row 1 \(b\): probability is 'nan'"),
        ("path,label,probability\na,1,high\n", r"row 0 \(a\): probability 'high' is not a number"),
        ("path,label,probability\na,1,1.5\n", r"row 0 \(a\): probability 1.5"),
        ("path,label,probability\na,1,0.5\na,0,0.5\n", r"row 1 \(a\): the path of row 0 again"),
        ("path,label,probability,status\na,1,,ok\n", r"row 0 \(a\): probability nan with status 'ok'"),
        ("path,label,probability,status\na,1,0.4,refused\n", "contradict"),
        ("path,label,probability,status\na,1,0.4,fine\n", "status 'fine'"),
        ("path,label,probability,subtype\na,1,0.4,FUNGAL\n", "unknown subtype 'FUNGAL'"),
        ("path,label,probability,threshold\na,1,0.4,0.5\nb,1,0.4,0.6\n", "2 thresholds"),
        ("path,label,probability,decision\na,1,0.4,PNEUMONIA\nb,1,0.6,NORMAL\n", "do not follow"),
    ],
)
def test_bad_tables_are_refused_with_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        PredictionTable.read_csv(written(tmp_path, text))
    assert "predictions.csv" in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        PredictionTable.read_csv(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        PredictionTable.read_csv(tmp_path / "picture.csv")


def test_nan_in_arrays_is_an_error_that_names_the_row() -> None:
    with pytest.raises(DataError, match=r"row 1 \(1\): probability nan"):
        PredictionTable.from_arrays([0, 1], [0.5, float("nan")])


def test_empty_and_uneven_tables_are_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        PredictionTable.from_arrays([], [])
    with pytest.raises(DataError, match="1 probabilities for 2 paths"):
        PredictionTable.from_arrays([0, 1], [0.5])


def test_digest_ignores_order_and_sees_labels() -> None:
    first = PredictionTable.from_arrays([0, 1], [0.1, 0.2], paths=["a", "b"])
    swapped = PredictionTable.from_arrays([1, 0], [0.3, 0.4], paths=["b", "a"])
    other = PredictionTable.from_arrays([1, 1], [0.1, 0.2], paths=["a", "b"])
    assert first.digest() == swapped.digest() != other.digest()


def test_decisions_take_the_threshold_itself_as_pneumonia() -> None:
    table = with_refusals(PredictionTable.from_arrays([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.49]))
    assert table.decisions(0.5).tolist() == [-1, -1, 1, 0]
