from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pneumoscope.datasets.kermany import PatientKey
from pneumoscope.datasets.layout import Split, official_splits
from pneumoscope.datasets.registry import find_images, scan_folder
from pneumoscope.errors import DataError
from pneumoscope.labels import Label
from support.data_helpers import Write


def test_lists_a_split_with_what_the_names_say(data_dir: Path) -> None:
    images = find_images(data_dir, "val")
    assert [(i.path.name, i.label, i.subtype, i.patient, i.split) for i in images] == [
        ("IM-0101-0001.png", Label.NORMAL, "NORMAL", "IM-0101", "val"),
        ("IM-0102-0001.png", Label.NORMAL, "NORMAL", "IM-0102", "val"),
        ("person101_bacteria_101.png", Label.PNEUMONIA, "BACTERIAL", "person101", "val"),
        ("person102_virus_102.png", Label.PNEUMONIA, "VIRAL", "person102", "val"),
    ]
    assert len(find_images(data_dir, [Split.TRAIN, "val"])) == 28
    assert find_images(data_dir, "val", key=PatientKey.AGENT)[3].patient == "person102_virus"


def test_classes_may_lie_there_directly(data_dir: Path) -> None:
    images = find_images(data_dir / "train")
    assert len(images) == 24
    assert {image.split for image in images} == {None}
    assert official_splits(data_dir) == (Split.TRAIN, Split.VAL)
    assert official_splits(data_dir / "train") is None


def test_all_faults_of_the_layout_come_at_once(data_dir: Path) -> None:
    for file in (data_dir / "val" / "NORMAL").iterdir():
        file.unlink()
    (data_dir / "train" / "PNEUMONIA").rename(data_dir / "train" / "pneumonia")
    with pytest.raises(DataError) as caught:
        find_images(data_dir, ["train", "val", "test"])
    text = str(caught.value)
    assert "train: the class folder PNEUMONIA is missing (it holds NORMAL/, pneumonia/)" in text
    assert "NORMAL: holds no images (the folder is empty)" in text
    assert "has no split 'test' (it holds train/, val/)" in text


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        find_images(tmp_path / "nowhere", "train")


def test_what_is_no_image_is_not_dropped_silently(
    data_dir: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("train/NORMAL/._IM-0001-0001.png")
    write("train/NORMAL/notes.txt", data=b"x")
    assert [path.name for path in scan_folder(data_dir, "train").left_out] == ["._IM-0001-0001.png", "notes.txt"]
    with caplog.at_level(logging.WARNING):
        assert len(find_images(data_dir, "train")) == 24
    assert "2 entries are no images and were left out" in caplog.text
    assert "notes.txt" in caplog.text


def test_a_name_that_contradicts_its_folder_says_no_subtype(data_dir: Path, write: Write) -> None:
    write("val/NORMAL/person5_virus_9.png")
    write("val/PNEUMONIA/unnamed.png")
    by_name = {image.path.name: image for image in find_images(data_dir, "val")}
    assert by_name["person5_virus_9.png"].subtype is None
    assert by_name["unnamed.png"].subtype is None
    assert by_name["unnamed.png"].patient == "unnamed"
    assert not by_name["unnamed.png"].patient_known


def test_images_of_an_unknown_class_are_a_problem_and_other_folders_are_not(data_dir: Path, write: Write) -> None:
    (data_dir / "val" / "notes").mkdir()
    write("val/__MACOSX/a.png")
    assert len(find_images(data_dir, "val")) == 4
    write("val/VIRUS/b.png")
    with pytest.raises(DataError, match=r"val: the folder VIRUS is no class known here \(NORMAL, PNEUMONIA\)"):
        find_images(data_dir, "val")
