from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pneumoscope.datasets.checks import check_files, check_folder, read_checked_manifest
from pneumoscope.datasets.manifest import write_manifest
from pneumoscope.datasets.source import Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import DataError
from support import phantom
from support.data_helpers import Write, cloud


def test_a_sound_folder_passes_with_its_hashes(data_dir: Path) -> None:
    checked = check_folder(data_dir, ["train", "val"], pooled=False)
    assert len(checked.images) == 28
    assert checked.notes == ()
    expected = [hashlib.sha256(image.path.read_bytes()).hexdigest() for image in checked.images]
    assert list(checked.hashes) == expected


def test_every_fault_is_named_and_counted_in_one_message(data_dir: Path, write: Write) -> None:
    write("train/NORMAL/IM-0013-0001.png", data=b"")
    write("train/NORMAL/IM-0014-0001.png", data=phantom.encode(cloud(7))[:300])
    twin = phantom.encode(cloud(77))
    write("train/NORMAL/IM-0015-0001.png", data=twin)
    write("train/PNEUMONIA/person15_virus_1.png", data=twin)
    write("val/PNEUMONIA/person3_bacteria_9.png")
    for file in (data_dir / "val" / "NORMAL").iterdir():
        file.unlink()
    with pytest.raises(DataError) as caught:
        check_folder(data_dir, ["train", "val", "test"], pooled=False)
    text = str(caught.value)
    assert "has no split 'test'" in text
    assert "NORMAL: holds no images" in text
    assert "unreadable files, to remove or replace: 2" in text
    assert "IM-0013-0001.png: empty" in text
    assert "IM-0014-0001.png: damaged or cut short" in text
    assert "groups of byte-identical files under both labels, of which one is wrong: 1" in text
    assert "IM-0015-0001.png = " in text
    assert "patients in more than one split: 1\n    person3: 1 in train, 1 in val" in text


def test_pooled_splits_may_share_a_patient_and_bytes(data_dir: Path, write: Write) -> None:
    write("val/PNEUMONIA/person3_virus_9.png", data=(data_dir / "train/PNEUMONIA/person3_virus_3.png").read_bytes())
    assert len(check_folder(data_dir, ["train", "val"]).images) == 29
    with pytest.raises(DataError, match="groups of byte-identical files in more than one split: 1"):
        check_folder(data_dir, ["train", "val"], pooled=False)


def test_left_out_files_are_noted(data_dir: Path, write: Write) -> None:
    write("train/NORMAL/notes.txt", data=b"x")
    assert "notes.txt" in check_folder(data_dir, "train").notes[0]


def test_a_manifest_is_held_against_its_files(data_dir: Path) -> None:
    checked = check_folder(data_dir, "train")
    rows = assign_roles(checked.images, folds=3, hashes=checked.hashes)
    check_files(rows)
    rows[0].path.unlink()
    rows[1] = replace(rows[1], sha256="0" * 64)
    with pytest.raises(DataError) as caught:
        check_files(rows)
    assert "missing or unreadable files: 1" in str(caught.value)
    assert f"{rows[0].path}: cannot be read (No such file or directory)" in str(caught.value)
    assert f"files with other bytes than the manifest says: 1\n    {rows[1].path}" in str(caught.value)


def test_a_manifest_is_read_by_role_and_checked_only_there(data_dir: Path, tmp_path: Path) -> None:
    checked = check_folder(data_dir, "train")
    rows = assign_roles(checked.images, folds=3, hashes=checked.hashes)
    file = tmp_path / "split.csv"
    write_manifest(file, rows, data_dir)
    assert read_checked_manifest(file, data_dir) == rows
    ordered = [row for row in rows if row.role is Role.ORDERED]
    assert read_checked_manifest(file, data_dir, role="ordered") == ordered
    ordered[0].path.write_bytes(b"another")
    assert len(read_checked_manifest(file, data_dir, role="grouped")) > 0
    with pytest.raises(DataError, match="files with other bytes than the manifest says: 1"):
        read_checked_manifest(file, data_dir, role="ordered")
    with pytest.raises(DataError, match=r"split\.csv: no image has the role 'test'; it has grouped, ordered, train"):
        read_checked_manifest(file, data_dir, role="test")
    with pytest.raises(DataError, match="elsewhere: no such folder; give the one that the paths in"):
        read_checked_manifest(file, data_dir / "elsewhere")
