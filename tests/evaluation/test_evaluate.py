"""The whole report: its JSON, its files, and every kind of awkward input."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import classification_report, roc_auc_score

from pneumoscope.errors import DataError, UsageError
from pneumoscope.evaluation import html, plots
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.evaluation.report import EvaluationReport, assemble
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Status
from pneumoscope.statistics.compare import Rival
from pneumoscope.statistics.metrics import Metric
from pneumoscope.statistics.table import PredictionTable
from support.made_up_predictions import made_up_table

KEYS = {
    *("split", "n", "model", "operating_point", "threshold", "confusion_matrix", "ci95", "per_subtype", "refused"),
    *("classification_report", *(metric.value for metric in Metric)),
}
POINTS = {"balanced": 0.5, "high_sensitivity": 0.3, "high_specificity": 0.7}
MODEL = {"name": "tiny <model>", "version": "1.0", "sha256": "ab" * 32}


def assembled(table: PredictionTable, draws: int = 40) -> EvaluationReport:
    return assemble(
        table,
        threshold=0.5,
        operating_point="balanced",
        operating_points=POINTS,
        split="test",
        model=MODEL,
        draws=draws,
    )


def refusing(table: PredictionTable, count: int) -> PredictionTable:
    probabilities = table.probabilities.copy()
    probabilities[:count] = np.nan
    return replace(table, probabilities=probabilities, statuses=(Status.REFUSED,) * count + table.statuses[count:])


def png_bytes() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), 90).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full report with a comparison, a training log, refusals and pictures of errors."""
    folder = tmp_path_factory.mktemp("report")
    table = refusing(made_up_table(240), 3)
    log = folder / "log.csv"
    log.write_text("epoch,loss,val_loss,grouped_auc\n1,0.9,0.8,0.7\n2,0.5,0.6,0.9\n")
    evaluate_predictions(
        table,
        threshold=0.5,
        operating_points=POINTS,
        split="test",
        model_info=MODEL,
        out=folder / "out",
        command="pneumoscope evaluate --data D --out R",
        render_error=lambda path: png_bytes() if path.endswith("4.jpeg") else None,
        rival=Rival(made_up_table(240, skill=0.5), 0.5, "balanced", {"name": "other"}),
        training_log=log,
    )
    return folder / "out"


def test_json_has_the_agreed_keys_and_consistent_values(written: Path) -> None:
    content = json.loads((written / "report.json").read_text())
    assert content.keys() >= KEYS
    table = PredictionTable.read_csv(written / "predictions.csv")
    matrix = content["confusion_matrix"]
    assert sum(matrix.values()) == content["n"] == len(table) == 240
    assert content["n_judged"] == 237
    assert content["refused"] == ["test/image-0.jpeg", "test/image-1.jpeg", "test/image-2.jpeg"]
    assert content["accuracy"] == pytest.approx((matrix["tn"] + matrix["tp"]) / 240)
    assert content["auc"] == pytest.approx(roc_auc_score(table.labels[3:], table.probabilities[3:]))
    for metric in Metric:
        if metric is not Metric.ECE:  # whose resamples are biased upwards
            for intervals in ("ci95", "ci95_bootstrap"):
                low, high = content[intervals][metric]
                assert low <= content[metric] <= high
    assert content["ci95_method"]["auc"] == "DeLong"
    assert content["ci95_method"]["sensitivity"] == "Wilson"
    assert content["undefined"] == {}
    assert content["bootstrap"]["draws"] == 2000
    assert content["bootstrap"]["clusters"] == len(set(table.patients or ()))
    assert content["comparison"]["model_b"] == {"name": "other"}


def test_breakdowns_agree_with_counting(written: Path) -> None:
    content = json.loads((written / "report.json").read_text())
    table = PredictionTable.read_csv(written / "predictions.csv")
    assert table.subtypes is not None
    for name in ("BACTERIAL", "VIRAL"):
        rows = [row for row, subtype in enumerate(table.subtypes) if subtype == name]
        hits = sum(table.probabilities[row] >= 0.5 for row in rows)
        assert content["per_subtype"][name]["n"] == len(rows)
        assert content["per_subtype"][name]["sensitivity"] == pytest.approx(hits / len(rows))
    assert list(content["by_operating_point"]) == ["high_sensitivity", "balanced", "high_specificity"]
    for name, point in content["by_operating_point"].items():
        called = table.probabilities >= POINTS[name]
        assert point["sensitivity"] == pytest.approx(called[table.labels == 1].mean())
    assert content["at_sensitivity"]["0.95"]["sensitivity"] >= 0.95
    three = content["three_class"]
    assert three["n"] == 240
    assert table.subtype_probabilities is not None
    bacterial, viral = ([r for r in range(3, 240) if table.subtypes[r] == n] for n in ("BACTERIAL", "VIRAL"))
    share = table.subtype_probabilities[:, 1] / table.subtype_probabilities[:, 1:].sum(axis=1)
    above = [share[b] > share[v] for b in bacterial for v in viral]
    assert three["bacterial_viral_auc"] == pytest.approx(np.mean(above))
    assert np.trace(three["confusion_matrix"]) == pytest.approx(three["accuracy"] * 240)


def test_every_picture_is_there_and_not_blank(written: Path) -> None:
    for name in [*plots.FIGURES, "comparison.png", "training.png"]:
        with Image.open(written / name) as picture:
            assert picture.width >= 600
            colours = picture.convert("RGB").getcolors(1 << 24)
            pixels = np.asarray(picture.convert("RGB"))
        assert (pixels < 200).any(axis=2).mean() > 0.005, name
        assert colours is not None
        assert len(colours) > 20, name


def test_page_is_self_contained_and_says_what_it_must(written: Path) -> None:
    page = (written / "index.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|https?://|@import|url\(""", page)
    assert page.count("data:image/png;base64,") >= len(plots.FIGURES) + 2
    for text in (RESEARCH_USE_ONLY, "ab" * 32, "pneumoscope evaluate --data D --out R", "McNemar", "scikit-learn"):
        assert text in page
    assert "tiny &lt;model&gt;" in page
    assert "tiny <model>" not in page
    assert "prefers-color-scheme: dark" in page
    assert "test/image-0.jpeg" in page  # refused


def test_same_input_same_bytes_and_no_stale_pictures(tmp_path: Path) -> None:
    table = made_up_table(60)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "comparison.png").write_bytes(b"of an earlier report")
    for name in ("a", "b"):
        evaluate_predictions(
            table, threshold=0.5, operating_points={}, split="test", model_info=MODEL, out=tmp_path / name
        )
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == sorted([*plots.FIGURES, "index.html", "predictions.csv", "report.json"])
    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_predictions_csv_gives_the_same_figures_again(written: Path) -> None:
    content = json.loads((written / "report.json").read_text())
    again = assembled(PredictionTable.read_csv(written / "predictions.csv"), draws=2000).to_json()
    for key in (*(metric.value for metric in Metric), "ci95", "ci95_bootstrap", "per_subtype", "three_class", "data"):
        assert again[key] == pytest.approx(content[key]) if key in set(Metric) else again[key] == content[key]


AWKWARD: Mapping[str, PredictionTable] = {
    "only pneumonia": PredictionTable.from_arrays([1, 1, 1], [0.2, 0.7, 0.9]),
    "only normal": PredictionTable.from_arrays([0, 0, 0], [0.2, 0.7, 0.9]),
    "one image": PredictionTable.from_arrays([1], [0.9]),
    "one of each": PredictionTable.from_arrays([0, 1], [0.1, 0.9]),
    "all predictions equal": PredictionTable.from_arrays([0, 1, 0, 1], [0.5] * 4),
    "all zero": PredictionTable.from_arrays([0, 1, 0, 1], [0.0] * 4),
    "perfect": PredictionTable.from_arrays([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]),
    "perfectly wrong": PredictionTable.from_arrays([0, 0, 1, 1], [1.0, 1.0, 0.0, 0.0]),
    "all refused": refusing(PredictionTable.from_arrays([0, 1, 1], [0.1, 0.2, 0.3]), 3),
    "one class judged": refusing(PredictionTable.from_arrays([0, 1, 1], [0.1, 0.2, 0.3]), 1),
    "no subtype known": PredictionTable.from_arrays([0, 1], [0.1, 0.9], subtypes=[None, None]),
    "one patient": PredictionTable.from_arrays([0, 1, 1], [0.1, 0.4, 0.9], patients=["a", "a", "a"]),
}


def nulls(value: Any, place: str = "") -> set[str]:
    """Dotted places of every null in nested objects."""
    if value is None:
        return {place}
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {found for name, part in parts for found in nulls(part, f"{place}.{name}".lstrip("."))}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_tables_give_reasons_instead_of_crashes(name: str) -> None:
    report = assembled(AWKWARD[name])
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    reasons = content["undefined"]
    empty = {name for name in ("reliability", "at_sensitivity") if not content[name]}
    assert nulls(content) - {"comparison", "explanations", "shortcut", "worst_group"} | empty == set(reasons)
    assert all(reasons.values())
    page = html.render(report, dict.fromkeys(plots.FIGURES, b""))
    assert all(reason in page for key, reason in reasons.items() if key in set(Metric))
    for draw in plots.FIGURES.values():
        assert draw(report).axes


@pytest.mark.parametrize("name", ["one image", "all refused"])
def test_pictures_of_awkward_tables_can_be_written(name: str) -> None:
    for draw in plots.FIGURES.values():
        assert plots.png(draw(assembled(AWKWARD[name]))).startswith(b"\x89PNG")


def test_one_class_names_the_reason() -> None:
    content = assembled(AWKWARD["only pneumonia"]).to_json()
    assert content["auc"] is None
    assert content["undefined"]["auc"] == "no normal among the judged images"
    assert content["undefined"]["specificity"] == "no normal among the images"
    assert content["sensitivity"] == pytest.approx(2 / 3)


def test_a_perfect_ranking_has_an_interval_with_width() -> None:
    content = assembled(AWKWARD["perfect"]).to_json()
    assert content["auc"] == 1
    assert content["ci95"]["auc"][0] < 0.9
    assert content["ci95_method"]["auc"].startswith("Newcombe")


def test_refusals_lower_accuracy_but_not_auc() -> None:
    table = made_up_table(90)
    full, less = assembled(table).to_json(), assembled(refusing(table, 9)).to_json()
    right = (table.decisions(0.5) == table.labels)[:9].sum()
    assert less["accuracy"] == pytest.approx(full["accuracy"] - right / 90)
    assert less["auc"] == pytest.approx(roc_auc_score(table.labels[9:], table.probabilities[9:]))
    assert less["refused_by_class"] == {"NORMAL": 3, "PNEUMONIA": 6}


def test_classification_report_is_scikit_learns() -> None:
    table = made_up_table(90)
    names = ["NORMAL", "PNEUMONIA"]
    expected = classification_report(table.labels, table.decisions(0.5), target_names=names, output_dict=True)
    assert assembled(table).to_json()["classification_report"] == expected


def test_unknown_patients_are_said() -> None:
    table = made_up_table(30)
    assert table.patients is not None
    without = assembled(replace(table, patients=None)).bootstrap
    assert without["clusters"] == without["images_without_patient"] == 30
    assert "no patient keys" in without["clustered_by"]
    some = assembled(replace(table, patients=(None, *table.patients[1:]))).bootstrap
    assert some["images_without_patient"] == 1


def test_a_file_in_place_of_the_folder_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="out: cannot be used as output folder"):
        evaluate_predictions(
            made_up_table(30), threshold=0.5, operating_points={}, split="x", model_info=MODEL, out=tmp_path / "out"
        )
    assert (tmp_path / "out").read_text() == "mine"


def test_threshold_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(DataError, match=r"threshold 1\.5"):
        assemble(made_up_table(9), threshold=1.5, operating_point="x", operating_points={}, split="x", model=MODEL)


@pytest.mark.parametrize(
    "text", ["", "epoch,loss\n", "loss\n1\n", "epoch,loss\n1,abc\n", "epoch,loss\n1,0.5,7\n", "\0"]
)
def test_what_is_not_a_training_log_is_refused(text: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(DataError, match=r"log\.csv: not a training log"):
        plots.training_curves(log)
