"""``pneumoscope evaluate`` as it is typed, with a stand-in for the model where one is needed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pneumoscope.cli import evaluate as command
from pneumoscope.cli.main import cli
from pneumoscope.cli.opening import read_model_package
from pneumoscope.evaluation import plots
from pneumoscope.evaluation.robustness import Perturbation
from pneumoscope.imaging.reader import read_image
from pneumoscope.model.classifier import Examination
from pneumoscope.model.contract import RESEARCH_USE_ONLY, OperatingPoint
from pneumoscope.model.packaging import pack
from pneumoscope.model.prediction import ModelInfo, Prediction, Status
from support.made_up_predictions import made_up_table
from support.phantom import chest_phantom, encode

INFO = ModelInfo("stand-in", "1.0", "cd" * 32)


class StandIn:
    """Calls pneumonia by the file name, and refuses one image."""

    info = INFO

    def __init__(self, wrong: str = "") -> None:
        self._wrong = wrong
        points = {"balanced": OperatingPoint(0.6, 0.9, 0.9), "high_sensitivity": OperatingPoint(0.2, 1.0, 0.5)}
        self.contract = SimpleNamespace(
            labels=("NORMAL", "PNEUMONIA"),
            subtypes=("NORMAL", "BACTERIAL", "VIRAL"),
            operating_points=points,
            conformal=None,
            operating_point=lambda name: (name or "balanced", points[name or "balanced"]),
        )

    def predict_many(
        self, sources: Iterable[Path], *, jobs: int = 1, operating_point: str | None = None
    ) -> Iterator[Prediction]:
        for source in sources:
            common: dict[str, Any] = {
                "path": str(source),
                "threshold": 0.6,
                "operating_point": "balanced",
                "model": INFO,
            }
            if "refused" in source.name:
                yield Prediction(sha256="00" * 32, status=Status.REFUSED, reasons=("blank",), **common)
            else:
                ill = ("person" in source.name) != (bool(self._wrong) and self._wrong in source.name)
                yield Prediction(
                    sha256="00" * 32,
                    status=Status.OK,
                    label="PNEUMONIA" if ill else "NORMAL",
                    probability=0.9 if ill else 0.1,
                    typicality=0.8,
                    subtype={"NORMAL": 0.1, "BACTERIAL": 0.6, "VIRAL": 0.3},
                    heatmap=np.zeros((7, 7), np.float32),
                    **common,
                )

    def examine(self, path: str, *, target: int) -> Examination:
        return Examination(read_image(Path(path), target=target), next(self.predict_many([Path(path)])))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Eight drawn chests in the data layout, one of them refused by the stand-in."""
    names = {
        "NORMAL": ["IM-0001-0001", "IM-0001-0002", "NORMAL2-IM-0400-0001", "refused"],
        "PNEUMONIA": ["person1_bacteria_1", "person1_virus_2", "person2_bacteria_3", "person3_virus_4"],
    }
    for label, stems in names.items():
        folder = tmp_path / "data" / "test" / label
        folder.mkdir(parents=True)
        for seed, stem in enumerate(stems):
            (folder / f"{stem}.png").write_bytes(encode(chest_phantom(160, seed)))
    return tmp_path / "data"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_model(file: Path | None, operating_point: str | None = None) -> StandIn:
        return StandIn(wrong="" if file is None else "person3")

    monkeypatch.setattr(command, "open_model", open_model)
    # Drawing is tested elsewhere.
    monkeypatch.setattr(plots, "FIGURES", {"confusion_matrix.png": plots.confusion_matrix})


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])


@pytest.mark.usefixtures("stand_in")
def test_a_model_on_a_split(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("--data", data_dir, "--split", "test", "--out", out)
    assert result.exit_code == 1, result.output  # one image was refused
    assert RESEARCH_USE_ONLY in result.output
    assert "1 refused or unreadable" in result.output
    content = json.loads((out / "report.json").read_text())
    assert content["split"] == "test"
    assert content["model"] == {"name": "stand-in", "version": "1.0", "sha256": "cd" * 32}
    assert (content["operating_point"], content["threshold"]) == ("balanced", 0.6)
    assert content["confusion_matrix"] == {"tn": 3, "fp": 1, "fn": 0, "tp": 4}
    assert [Path(path).name for path in content["refused"]] == ["refused.png"]
    assert content["per_subtype"]["VIRAL"]["n"] == 2
    # person1 is one patient, IM-0001 too, and the name without a key is counted alone.
    assert content["bootstrap"]["clusters"] == 6
    assert content["bootstrap"]["images_without_patient"] == 1
    assert content["command"] == f"pneumoscope evaluate --data {data_dir} --split test --out {out}"


@pytest.mark.usefixtures("stand_in")
def test_comparison_with_a_second_model_and_heatmaps_of_errors(data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.tflite"
    other.touch()
    words = ("--data", data_dir, "--split", "test", "--model", other, "--compare", other, "--out")
    run(*words, tmp_path / "with")
    run(*words, tmp_path / "without", "--no-images")
    content = json.loads((tmp_path / "with" / "report.json").read_text())
    assert content["comparison"]["mcnemar"]["p_value"] == 1
    assert content["confusion_matrix"]["fn"] == 1
    pages = [(tmp_path / name / "index.html").read_text() for name in ("with", "without")]
    assert [page.count("data:image/png") for page in pages] == [3, 2]
    assert all("person3_virus_4" in page for page in pages)


@pytest.mark.usefixtures("stand_in")
def test_a_table_from_elsewhere(tmp_path: Path) -> None:
    table = tmp_path / "theirs.csv"
    table.write_text("path,label,probability\na,1,0.9\nb,0,0.2\nc,0,0.7\n")
    result = run("--predictions", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "says no threshold; 0.5 is taken" in result.output
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["confusion_matrix"] == {"tn": 1, "fp": 1, "fn": 0, "tp": 1}
    assert content["model"] == {"name": "theirs.csv"}
    result = run("--predictions", table, "--threshold", "0.8", "--compare", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["accuracy"] == 1
    assert content["comparison"]["mcnemar"]["only_a_right"] == 1


@pytest.mark.usefixtures("stand_in")
def test_our_own_table_is_judged_by_its_own_threshold(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text(made_up_table(30).to_csv(0.37))
    assert run("--predictions", file, "--out", tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["threshold"] == 0.37


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either --data DIR or --predictions FILE"),
        (("--data", "d", "--predictions", "t.csv"), "either --data DIR or --predictions FILE"),
        (("--predictions", "t.csv", "--operating-point", "balanced"), "judged as they are"),
        (("--predictions", "t.csv", "--manifest", "t.csv"), "give --data DIR"),
        (("--data", "d", "--threshold", "0.5"), "--threshold belongs to --predictions"),
        (("--predictions", "t.csv", "--compare", "m.tflite"), "with a model, give --data DIR"),
        (("--predictions", "t.csv", "--run", "."), "no run of `pneumoscope train`, it holds no log.csv"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("path,label,probability\na,1,0.9\n")
    Path("m.tflite").touch()
    result = run(*words, "--out", "out")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not Path("out").exists()


def test_bad_data_is_one_line_and_status_1(tmp_path: Path) -> None:
    table = tmp_path / "theirs.csv"
    table.write_text("path,label,probability\na,1,nan\n")
    result = run("--predictions", table, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "row 0 (a): probability is 'nan'" in result.output
    assert "Traceback" not in result.output


def renamed(file: Path, **names: Any) -> Path:
    """The built-in model with other names in its contract."""
    package, _ = read_model_package(None)
    file.write_bytes(pack(package.graph, dataclasses.replace(package.contract, **names), package.card))
    return file


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"labels": ("HEALTHY", "COVID")},
            "tells HEALTHY from COVID, and the images are labelled NORMAL and PNEUMONIA",
        ),
        ({"subtypes": ("NORMAL", "FUNGAL", "VIRAL")}, "tells the subtypes NORMAL, FUNGAL, VIRAL; known are"),
    ],
)
def test_a_model_of_other_labels_is_not_scored(
    names: dict[str, tuple[str, ...]], message: str, data_dir: Path, tmp_path: Path
) -> None:
    model = renamed(tmp_path / "other.tflite", **names)
    result = run("--data", data_dir, "--split", "test", "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.output
    assert not list((tmp_path / "out").iterdir())


def test_a_class_that_is_not_known_is_not_passed_over(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "test" / "COVID").mkdir()
    (data_dir / "test" / "COVID" / "a.png").write_bytes(encode(chest_phantom(160)))
    result = run("--data", data_dir, "--split", "test", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "the folder COVID is no class known here (NORMAL, PNEUMONIA)" in result.output


def test_a_corrupt_image_is_listed_and_the_others_are_judged(
    data_dir: Path, tmp_path: Path, open_minded_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "FIGURES", {})
    corrupt = data_dir / "test" / "PNEUMONIA" / "person9_virus_9.png"
    corrupt.write_bytes(encode(chest_phantom(160))[:200])
    words = ("--data", data_dir, "--split", "test", "--model", open_minded_model)
    result = run(*words, "--no-images", "--out", tmp_path / "out")
    assert result.exit_code == 1, result.output
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (content["n"], content["n_judged"], content["refused"]) == (9, 8, [str(corrupt)])
    assert content["refused_by_class"] == {"NORMAL": 0, "PNEUMONIA": 1}
    assert content["confusion_matrix"]["fn"] >= 1
    row = next(line for line in (tmp_path / "out" / "predictions.csv").read_text().splitlines() if str(corrupt) in line)
    assert ",error," in row


def test_a_split_of_one_class_is_named(data_dir: Path, tmp_path: Path) -> None:
    for file in (data_dir / "test" / "NORMAL").iterdir():
        file.unlink()
    result = run("--data", data_dir, "--split", "test", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "NORMAL: holds no images" in result.output


def test_shortcuts_are_checked_on_the_judged_images(
    data_dir: Path, tmp_path: Path, open_minded_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "FIGURES", {})
    (data_dir / "test" / "PNEUMONIA" / "person9_virus_9.png").write_bytes(encode(chest_phantom(160))[:200])
    words = ("--data", data_dir, "--split", "test", "--model", open_minded_model, "--no-images", "--shortcuts")
    result = run(*words, "--out", tmp_path / "out")
    assert result.exit_code == 1, result.output
    content = json.loads((tmp_path / "out" / "shortcuts.json").read_text())
    assert content["n"] == 8
    assert [check["change"] for check in content["checks"]] == [change.value for change in Perturbation]
    assert all(0 <= check["flips"] <= 8 and check["relies_on"] in (True, False) for check in content["checks"])
    assert set(content["aspect"]) > {"stretch", "auc", "auc_pneumonia_stretched", "auc_normal_stretched"}
    assert "blurred by 1 pixel" in result.output
    assert f"AUC {content['aspect']['auc_pneumonia_stretched']:.4f}" in result.output


@pytest.mark.parametrize("option", ["--explanations", "--shortcuts"])
def test_tests_of_a_model_need_one(option: str, tmp_path: Path) -> None:
    table = tmp_path / "theirs.csv"
    table.write_text("path,label,probability\na,1,0.9\n")
    result = run("--predictions", table, option, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--explanations and --shortcuts test a model" in result.output


def test_the_built_in_model_on_real_radiographs(radiographs: Path, tmp_path: Path) -> None:
    result = run("--data", radiographs / "chest_xray_224", "--split", "val", "--no-images", "--out", tmp_path)
    assert result.exit_code in (0, 1), result.output
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["n"] == 16
    assert content["auc"] > 0.7
