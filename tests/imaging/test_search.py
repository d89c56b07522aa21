from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from pneumoscope.imaging.search import describe_passed_over, find_radiographs
from support.phantom import chest_phantom, dicom_bytes, dicom_dataset, encode

CHEST = chest_phantom(150)
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    (place / "below").mkdir(parents=True)
    (place / "__MACOSX").mkdir()
    (tmp_path / "other").mkdir()
    files = {
        "a.jpeg": encode(CHEST, "JPEG"), "b.jfif": encode(CHEST, "JPEG"), "IMG1": encode(CHEST, "JPEG"),
        "png": encode(CHEST), "d.HEIC": HEIC, "IM0001": dicom_bytes(dicom_dataset(CHEST)), "notes.txt": b"read me",
        "below/e.DCM": dicom_bytes(dicom_dataset(CHEST)), "._a.jpeg": b"\0\5\26\7Mac OS X",
        "__MACOSX/a.jpeg": b"\0\5\26\7", "../other/f.jpeg": encode(CHEST, "JPEG"), "broken.png": b"not one",
    }  # fmt: skip
    for name, content in files.items():
        (place / name).write_bytes(content)
    for name, sample in (("DICOMDIR", "DICOMDIR"), ("report.dcm", "test-SR.dcm")):
        (place / name).write_bytes(Path(get_testdata_file(sample, download=False)).read_bytes())
    (place / "linked").symlink_to("../other")
    return place


def test_images_by_ending_or_content_and_what_is_passed_over(folder: Path) -> None:
    found, passed = find_radiographs(folder)
    names = ["IM0001", "IMG1", "a.jpeg", "b.jfif", "below/e.DCM", "broken.png", "png"]
    assert [path.relative_to(folder).as_posix() for path in found] == names
    assert {entry.path.name: entry.why for entry in passed} == {
        "DICOMDIR": "a directory of DICOM files (DICOMDIR); give the files it lists",
        "d.HEIC": "HEIC is not read",
        "linked": "a link to a folder is not followed",
        "report.dcm": "a structured report, not an image",
    }
    assert "d.HEIC (HEIC is not read)" in describe_passed_over(passed)


def test_an_output_folder_is_not_searched(folder: Path) -> None:
    found, _ = find_radiographs(folder, leave_out=folder / "below")
    assert not any("below" in path.parts for path in found)
