from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from pneumoscope.datasets.manifest import manifest_hash, manifest_text, read_manifest, write_manifest
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.errors import DataError
from pneumoscope.labels import Label

DATA = Path("/data")
ROWS = [
    LabelledImage(DATA / "train/NORMAL/IM-0001-0001.jpeg", Label.NORMAL, "NORMAL", "IM-0001", "a" * 64, Role.ORDERED),
    LabelledImage(DATA / "train/PNEUMONIA/a, b.jpeg", Label.PNEUMONIA, None, "a, b", "b" * 64, Role.GROUPED, 0),
    LabelledImage(
        DATA / "train/PNEUMONIA/person3_virus_1.jpeg", Label.PNEUMONIA, "VIRAL", "person3", "c" * 64, Role.TRAIN, 1
    ),
]


@pytest.mark.parametrize("data_dir", [DATA, None])
def test_what_is_written_is_read_back(tmp_path: Path, data_dir: Path | None) -> None:
    file = tmp_path / "deep" / "split.csv"
    write_manifest(file, ROWS, data_dir)
    assert read_manifest(file, data_dir) == ROWS
    with file.open(newline="") as stream:
        paths = [row["path"] for row in csv.DictReader(stream)]
    assert paths[0] == ("train/NORMAL/IM-0001-0001.jpeg" if data_dir else str(ROWS[0].path))
    assert [entry.name for entry in file.parent.iterdir()] == ["split.csv"]


def test_a_manifest_without_folds_is_read(tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    lines = manifest_text(ROWS).splitlines()
    file.write_text("\r\n".join(line.rsplit(",", 3)[0] for line in lines) + "\r\n")
    assert read_manifest(file) == [replace(row, fold=None) for row in ROWS]


def test_relative_paths_stay_relative_without_a_folder_and_may_not_leave_one(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    write_manifest(file, ROWS, DATA)
    assert read_manifest(file)[0].path == Path("train/NORMAL/IM-0001-0001.jpeg")
    file.write_text(manifest_text(ROWS, DATA).replace("train/NORMAL/", "../NORMAL/"))
    with pytest.raises(DataError, match=r"line 2: \.\./NORMAL/IM-0001-0001\.jpeg: points outside the data folder"):
        read_manifest(file, DATA)
    with pytest.raises(DataError, match="lies outside the data folder"):
        manifest_text(ROWS, tmp_path)


def test_a_patient_and_bytes_on_both_sides_are_refused_together(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    leak = replace(ROWS[2], path=DATA / "other.jpeg", sha256="d" * 64, role=Role.GROUPED, fold=0)
    twin = replace(ROWS[0], path=DATA / "twin.jpeg", patient="IM-0009", role=Role.TRAIN, fold=1)
    write_manifest(file, [*ROWS, leak, twin])
    with pytest.raises(DataError) as caught:
        read_manifest(file)
    text = str(caught.value)
    assert "2 faults" in text
    assert "patient person3 is on both sides: 1 in train, 1 in grouped" in text
    assert "the same bytes are on both sides: /data/train/NORMAL/IM-0001-0001.jpeg and /data/twin.jpeg" in text


def test_same_bytes_with_two_labels_and_a_path_twice_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    wrong = replace(ROWS[2], path=DATA / "x.jpeg", label=Label.NORMAL, subtype=None)
    write_manifest(file, [*ROWS, wrong, ROWS[1]])
    with pytest.raises(DataError) as caught:
        read_manifest(file)
    assert "the same bytes have two labels" in str(caught.value)
    assert "a, b.jpeg: listed 2 times" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PNEUMONIA,VIRAL", "SICK,VIRAL", "line 4: .*label 'SICK' is none of NORMAL, PNEUMONIA"),
        ("PNEUMONIA,VIRAL", "PNEUMONIA,FUNGAL", "subtype 'FUNGAL' is none of NORMAL, BACTERIAL, VIRAL"),
        ("PNEUMONIA,VIRAL", "PNEUMONIA,NORMAL", "subtype NORMAL under the label PNEUMONIA"),
        ("train,1", "practice,1", "role 'practice' is none of train, grouped, ordered"),
        ("train,1", "train,one", "fold 'one' is not a whole number"),
        ("c" * 64, "c" * 63, "is not 64 hex digits"),
        (",person3,", ",,", "line 4: no patient"),
    ],
)
def test_faulty_rows_are_named_by_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "split.csv"
    text = manifest_text(ROWS)
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_manifest(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\nx,NORMAL\n", "columns subtype, patient, sha256, role are missing"),
        (b"path,label,subtype,patient,sha256,role\n", "has no rows"),
        (b"", "columns path, label"),
        (b"\xff\xfe\x00binary", "not a CSV file in UTF-8"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "split.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_manifest(file)


def test_a_missing_manifest_and_an_unwritable_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written"):
        write_manifest(tmp_path / "file" / "split.csv", ROWS)


def test_the_hash_depends_on_images_labels_and_roles_alone() -> None:
    moved = [replace(row, path=Path("elsewhere") / row.path.name, fold=None) for row in reversed(ROWS)]
    assert manifest_hash(moved) == manifest_hash(ROWS)
    assert manifest_hash([replace(ROWS[0], role=Role.TRAIN), *ROWS[1:]]) != manifest_hash(ROWS)


def test_shortcut_scores_are_kept(tmp_path: Path) -> None:
    rows = [replace(ROWS[0], shortcut=0.98765, conflicting=True), *ROWS[1:]]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows
    text = (tmp_path / "m.csv").read_text()
    (tmp_path / "m.csv").write_text(text.replace("0.98765", "1.5"))
    with pytest.raises(DataError, match=r"shortcut '1\.5' is not"):
        read_manifest(tmp_path / "m.csv")
