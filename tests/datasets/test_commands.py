from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import cli
from pneumoscope.datasets.checks import check_files
from pneumoscope.datasets.manifest import read_manifest
from pneumoscope.datasets.source import Role
from support.data_helpers import Write


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_audit_of_a_sound_folder(data_dir: Path, tmp_path: Path) -> None:
    result = run("audit", data_dir, "--out", tmp_path / "audit")
    assert result.exit_code == 0, result.output
    assert "train/PNEUMONIA: 12 images" in result.stdout
    assert "No leak between splits or labels found." in result.stdout
    assert "not computed, no predictions were given" in result.stdout
    assert "Research use only. Not a medical device." in result.stdout
    assert "Reading images: 100%" in result.stderr
    assert (tmp_path / "audit" / "index.html").is_file()


def test_audit_of_a_leak_ends_with_status_1_and_one_json_object(data_dir: Path, tmp_path: Path, write: Write) -> None:
    write("val/NORMAL/IM-0103-0001.png", data=(data_dir / "train/NORMAL/IM-0001-0001.png").read_bytes())
    predictions = tmp_path / "predictions.csv"
    predictions.write_text("path,label,probability\ntrain/NORMAL/IM-0001-0001.png,NORMAL,0.1\n")
    result = run("audit", data_dir, "--out", tmp_path / "audit", "--json", "--predictions", predictions)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "audit" / "audit.json").read_text("utf-8"))
    assert len(found["leaks"]) == 1
    assert found["label_errors"]["status"] == "computed"


def test_split_writes_a_manifest_and_says_what_is_in_it(data_dir: Path, tmp_path: Path, write: Write) -> None:
    write("val/NORMAL/IM-0103-0001.png", data=(data_dir / "train/NORMAL/IM-0005-0001.png").read_bytes())
    write("test/NORMAL/IM-0200-0001.png")
    write("test/PNEUMONIA/person200_virus_1.png")
    write("val/PNEUMONIA/scan.png")
    out = tmp_path / "split.csv"
    result = run("split", data_dir, "--out", out, "--folds", 4, "--fold", 2, "--ordered-fraction", 0.2, "--seed", 3)
    assert result.exit_code == 0, result.output
    rows = read_manifest(out, data_dir)
    check_files(rows)
    assert len(rows) == 29  # 28 and scan.png; the twin dropped, test left alone
    assert not any("test" in row.path.parts[-3:] for row in rows)
    assert {row.fold for row in rows if row.role is Role.GROUPED} == {2}
    assert "From train, val; 1 byte-identical files dropped." in result.stderr
    assert "Names that carry no patient: 1;" in result.stderr
    for role in Role:
        count = sum(row.role is role for row in rows)
        assert f"{role}: {count} images of " in result.stderr
    assert result.stdout.startswith(f"{out}  29 images, manifest hash ")


def test_split_by_the_other_key_and_of_chosen_folders(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.csv"
    assert run("split", data_dir / "train", "--out", out, "--folds", 3, "--key", "agent").exit_code == 0
    assert {row.patient for row in read_manifest(out)} >= {"person3_virus", "person4_bacteria"}
    assert run("split", data_dir, "--out", out, "--folds", 2, "--split", "train").exit_code == 0
    assert len(read_manifest(out)) == 24


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--folds", "4", "--fold", "4"), 2, "--fold 4: with --folds 4 it must be 0 to 3"),
        (("--folds", "1"), 2, "Invalid value for '--folds'"),
        (("--ordered-fraction", "1"), 2, "Invalid value for '--ordered-fraction'"),
        (("--key", "name"), 2, "Invalid value for '--key'"),
        (("--folds", "40"), 1, "are too few for 40 folds"),
        (("--split", "test"), 1, "has no split 'test'"),
    ],
)
def test_split_refuses(data_dir: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    result = run("split", data_dir, "--out", tmp_path / "split.csv", *arguments)
    assert result.exit_code == status
    assert message in result.stderr
    assert not (tmp_path / "split.csv").exists()


def test_a_missing_folder_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    for command in ("audit", "split"):
        result = run(command, tmp_path / "none", "--out", tmp_path / "out")
        assert result.exit_code == 1
        assert "none: no such folder" in result.stderr
