"""A data set of other names and another population is one class, and goes all the way from here."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import pneumoscope
from pneumoscope.datasets.checks import check_source
from pneumoscope.datasets.manifest import read_manifest, write_manifest
from pneumoscope.datasets.source import LabelledImage, Origin, Role, Scan, origins_of
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.labels import Label
from pneumoscope.model.contract import Population
from support.phantom import chest_phantom

OLDEST = Origin(
    name="over-eighty",
    title="A made-up clinic's radiographs",
    population=Population("patients over eighty of a made-up clinic", ages=((81, 120),)),
    licence="CC0",
    citation="Nobody, Drawings (2026)",
)


@dataclasses.dataclass(frozen=True)
class Clinic:
    """Images anywhere, with a table that says everything: this class is all that is written for a new data set."""

    folder: Path
    origin: Origin | None = OLDEST

    @property
    def name(self) -> str:
        return str(self.folder)

    def scan(self) -> Scan:
        with (self.folder / "visits.csv").open(newline="") as stream:
            return Scan(tuple(self._image(row) for row in csv.DictReader(stream)))

    def _image(self, row: dict[str, str]) -> LabelledImage:
        label = Label.PNEUMONIA if row["diagnosis"] == "ill" else Label.NORMAL
        return LabelledImage(self.folder / row["file"], label, None, row["visitor"], origin=self.origin)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    lines = ["file,visitor,diagnosis"]
    for number in range(24):
        ill = number % 2
        file = tmp_path / f"scan of visit {number}.png"
        Image.fromarray(chest_phantom(256, number, opacity=ill)).save(file)
        lines.append(f"{file.name},visitor-{number // 3},{'ill' if ill else 'well'}")
    (tmp_path / "visits.csv").write_text("\n".join(lines) + "\n")
    return Clinic(tmp_path)


def test_it_is_checked_split_and_listed(clinic: Clinic, tmp_path: Path) -> None:
    checked = check_source(clinic)
    rows = assign_roles(checked.images, hashes=checked.hashes, folds=4)
    # Its images are in no order of time, so that holdout is left out.
    assert set(Counter(row.role for row in rows)) == {Role.TRAIN, Role.GROUPED}
    write_manifest(tmp_path / "split.csv", rows, tmp_path)
    again = read_manifest(tmp_path / "split.csv", tmp_path)
    assert [(row.path, row.patient, row.role) for row in again] == [(row.path, row.patient, row.role) for row in rows]
    assert [origin.name for origin in origins_of(again)] == ["over-eighty"]


def test_it_is_evaluated(clinic: Clinic) -> None:
    table = pneumoscope.evaluate(pneumoscope.load_model(), clinic)
    report = pneumoscope.report(table, split="clinic")
    assert (report["n"], report["bootstrap"]["clusters"]) == (24, 8)
    assert sum(report["confusion_matrix"].values()) == 24
