"""``data split`` writes a manifest, ``train`` and ``evaluate`` read it."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from support.cli_kit import Run
from support.tiny_data import write_tiny_data

RECIPE = """
name = "tiny"
network = "pneumonet"
batch_size = 8

[[stages]]
epochs = 1
size = 32
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    # 128 pixels: no smaller ones are judged.
    return write_tiny_data(tmp_path / "data", patients=12, size=128)


@pytest.fixture
def manifest(data: Path, tmp_path: Path, run: Run) -> Path:
    file = tmp_path / "split.csv"
    result = run("data", "split", data, "--out", file, "--folds", 3, "--fold", 1, "--ordered-fraction", 0.25)
    assert result.exit_code == 0, result.output
    return file


def listed(manifest: Path, role: str) -> list[str]:
    with manifest.open(newline="") as stream:
        return [row["path"] for row in csv.DictReader(stream) if row["role"] == role]


@pytest.mark.slow
def test_train_takes_images_and_roles_from_the_manifest(data: Path, manifest: Path, tmp_path: Path, run: Run) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    words = ("train", "--data", data, "--manifest", manifest, "--recipe", recipe, "--out")
    result = run(*words, tmp_path / "run")
    assert result.exit_code == 0, result.output
    for role in ("train", "grouped", "ordered"):
        assert listed(tmp_path / "run" / "manifest.csv", role) == [str(data / path) for path in listed(manifest, role)]
    # Another fold held out is another split, and not one to resume this run with.
    folds = ("data", "split", data, "--out", manifest, "--folds", 3, "--fold", 2, "--ordered-fraction", 0.25)
    assert run(*folds).exit_code == 0
    result = run(*words, tmp_path / "run", "--resume")
    assert result.exit_code == 1
    assert "was begun with other images or roles" in result.stderr


def test_evaluate_takes_a_role_of_the_manifest(
    data: Path, manifest: Path, tmp_path: Path, run: Run, open_minded_model: Path
) -> None:
    out = tmp_path / "report"
    words = ("evaluate", "--data", data, "--manifest", manifest, "--model", open_minded_model, "--no-images", "--out")
    result = run(*words, out, "--split", "ordered", "--explanations")
    assert result.exit_code == 0, result.output
    content = json.loads((out / "report.json").read_text())
    with (out / "predictions.csv").open(newline="") as stream:
        paths = [row["path"] for row in csv.DictReader(stream)]
    assert paths == [str(data / path) for path in listed(manifest, "ordered")]
    assert content["split"] == "ordered"
    tested = content["explanations"]
    assert tested["of"] == content["confusion_matrix"]["tp"] + content["confusion_matrix"]["fp"]
    assert tested["n"] == tested["of"]
    assert set(tested["images"]) <= set(paths)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_files_that_do_not_fit_the_manifest_are_named(
    command: str, data: Path, manifest: Path, tmp_path: Path, run: Run, open_minded_model: Path
) -> None:
    first, second, third = listed(manifest, "grouped")[:3]
    (data / first).unlink()
    (data / second).write_bytes((data / third).read_bytes())
    more = ("--recipe", "pneumonet") if command == "train" else ("--model", open_minded_model, "--split", "grouped")
    result = run(command, "--data", data, "--manifest", manifest, *more, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"missing or unreadable files: 1\n    {data / first}: cannot be read" in result.stderr
    assert f"files with other bytes than the manifest says: 1\n    {data / second}" in result.stderr
    assert "Traceback" not in result.output
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "none.csv"),
        ("not one", "not a manifest, the columns"),
        ("leak", "is on both sides"),
        ("moved", "elsewhere"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    command: str, change: str, message: str, data: Path, manifest: Path, tmp_path: Path, run: Run
) -> None:
    if change == "missing":
        manifest = manifest.with_name("none.csv")
    elif change == "not one":
        manifest.write_text("path,label\na,NORMAL\n")
    elif change == "leak":
        patients = Counter(line.split(",")[3] for line in manifest.read_text().splitlines())
        assert max(patients.values()) == 1
        lines = manifest.read_text().splitlines()
        lines[1] = ",".join([*lines[1].split(",")[:3], lines[-1].split(",")[3], *lines[1].split(",")[4:]])
        manifest.write_text("\n".join(lines) + "\n")
    else:
        shutil.move(data, tmp_path / "there")
        data = tmp_path / "elsewhere"
    more = ("--recipe", "pneumonet") if command == "train" else ()
    result = run(command, "--data", data, "--manifest", manifest, *more, "--out", tmp_path / "out")
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_role_that_the_manifest_lacks_is_named(data: Path, manifest: Path, tmp_path: Path, run: Run) -> None:
    words = ("--data", data, "--manifest", manifest, "--split", "test", "--out", tmp_path / "out")
    result = run("evaluate", *words)
    assert result.exit_code == 1
    assert "no image has the role 'test'; it has grouped, ordered, train" in result.stderr
