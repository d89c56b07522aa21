"""What each source says of its images; a new data set is one class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pneumoscope.datasets.folder import FolderSource
from pneumoscope.datasets.kermany import KERMANY, KermanySource
from pneumoscope.datasets.nih import NIH, NihSource, reading
from pneumoscope.datasets.registry import find_images, open_source
from pneumoscope.datasets.source import Role, origins_of
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import DataError
from pneumoscope.labels import Label
from support.data_helpers import Write

HEADER = "file,patient,age,view,nih_findings,rsna_class\n"


@pytest.mark.parametrize(
    ("findings", "rsna_class", "label"),
    [
        ("No Finding", "", Label.NORMAL),
        ("No Finding", "Normal", Label.NORMAL),
        ("Pneumonia", "Normal", Label.NORMAL),
        ("No Finding", "No Lung Opacity / Not Normal", None),
        ("No Finding", "Lung Opacity", Label.PNEUMONIA),
        ("Atelectasis|Pneumonia", "", Label.PNEUMONIA),
        ("Consolidation", "No Lung Opacity / Not Normal", Label.PNEUMONIA),
        ("Pneumothorax|Effusion", "", None),
    ],
)
def test_how_a_reading_of_nih_is_made(findings: str, rsna_class: str, label: Label | None) -> None:
    assert reading(findings, rsna_class) is label


def test_a_folder_of_nih_is_recognised_and_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        HEADER + "a.jpeg,0017,77,AP,No Finding,\nb.jpeg,0017,78,PA,Pneumonia,\nc.jpeg,0030,,PA,Mass,\n"
    )
    source = open_source(tmp_path)
    assert isinstance(source, NihSource)
    first, second = find_images(tmp_path)
    assert (first.path, first.label, first.subtype) == (tmp_path / "images" / "a.jpeg", Label.NORMAL, "NORMAL")
    assert (first.patient, first.age, first.view) == ("nih-0017", 77, "AP")
    assert (second.label, second.subtype, second.origin) == (Label.PNEUMONIA, None, NIH)
    assert source.neither() == (tmp_path / "images" / "c.jpeg",)
    (tmp_path / "labels.csv").write_text("file,patient\na.jpeg,1\n")
    with pytest.raises(DataError, match="no column age, view, nih_findings, rsna_class"):
        NihSource(tmp_path).scan()


def test_a_folder_of_any_names_is_a_source_of_which_little_is_known(tmp_path: Path, write: Write) -> None:
    for number in range(12):
        write(f"NORMAL/scan {number}.png", seed=number)
        write(f"PNEUMONIA/case-{number}.png", seed=100 + number)
    source = open_source(tmp_path / "data")
    assert isinstance(source, FolderSource)
    assert source.origin is None
    images = find_images(tmp_path / "data")
    assert not any(image.patient_known for image in images)
    rows = assign_roles(images, folds=4)
    assert Counter(row.role for row in rows) == {Role.TRAIN: 18, Role.GROUPED: 6}


def test_sources_are_split_together_and_each_is_in_every_fold(data_dir: Path, tmp_path: Path) -> None:
    kermany = find_images(data_dir, "train")
    lines = [f"{n}.jpeg,{n},40,PA,{'Pneumonia' if n % 4 == 0 else 'No Finding'}," for n in range(32)]
    (tmp_path / "labels.csv").write_text(HEADER + "\n".join(lines) + "\n")
    nih = find_images(tmp_path)
    images = [*kermany, *nih]
    assert origins_of(images) == (KERMANY, NIH)
    rows = assign_roles(images, folds=4, hashes=[f"{n:064x}" for n in range(len(images))])
    held_out = [row for row in rows if row.role is Role.GROUPED and row.origin is NIH]
    assert Counter(row.label for row in held_out) == {Label.NORMAL: 6, Label.PNEUMONIA: 2}
    assert {row.origin for row in rows if row.role is Role.ORDERED} == {KERMANY}


def test_the_children_are_recognised_by_their_names(data_dir: Path) -> None:
    assert isinstance(open_source(data_dir, "val"), KermanySource)
    assert KERMANY.population.includes(3.5)
    assert not NIH.population.includes(3.5)


def test_the_real_adults(radiographs: Path) -> None:
    folder = radiographs / "adults_nih"
    if not folder.is_dir():
        pytest.skip("no adults here")
    images = find_images(folder)
    counts = Counter(image.label for image in images)
    assert counts[Label.PNEUMONIA] > 150
    assert counts[Label.NORMAL] > 700
    assert all(image.path.is_file() for image in images)
    assert len(images) + len(NihSource(folder).neither()) == len(list((folder / "images").iterdir()))
