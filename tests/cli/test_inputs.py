"""Which files a command line means."""

from pathlib import Path

import numpy as np
import pytest

from pneumoscope.cli.inputs import Inputs, find_inputs
from pneumoscope.errors import UsageError
from support import phantom


def find(*paths: str | Path, lines: tuple[str, ...] = (), leave_out: Path | None = None) -> Inputs:
    def warn(message: str) -> None:
        raise AssertionError(message)

    return find_inputs([str(path) for path in paths], lambda: lines, warn, leave_out=leave_out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/1.JPEG", "a/x.tiff", "c.bmp", "notes.txt", ".hidden.png", ".cache/y.png", "b/._1.JPEG"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"content does not matter to the search")
    return tmp_path


def test_a_folder_gives_its_images_sorted_and_without_hidden_ones(folder: Path) -> None:
    found = find(folder)
    paths = list(found.paths)
    assert [Path(path).relative_to(folder).as_posix() for path in paths] == ["a/x.tiff", "b/1.JPEG", "b/2.png", "c.bmp"]
    assert found.total == 4


def test_dicom_is_found_without_an_ending(tmp_path: Path) -> None:
    stored = (phantom.chest_phantom(128).astype(np.uint16)) * 16
    phantom.dicom_dataset(stored).save_as(tmp_path / "1.2.840.113619.2", enforce_file_format=True)
    phantom.dicom_dataset(stored).save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    (tmp_path / "README").write_text("not an image")
    assert [Path(path).name for path in find(tmp_path).paths] == ["1.2.840.113619.2"]


def test_files_are_taken_as_given_and_in_order(folder: Path) -> None:
    given = ["./nope.png", str(folder / "notes.txt"), "nul\0.png"]
    found = find(given[0], folder / "b", *given[1:])
    assert list(found.paths) == [given[0], str(folder / "b/1.JPEG"), str(folder / "b/2.png"), *given[1:]]


def test_an_output_folder_is_not_searched(folder: Path) -> None:
    assert [Path(path).name for path in find(folder, leave_out=folder / "b").paths] == ["x.tiff", "c.bmp"]


def test_a_folder_without_images_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UsageError, match="no images in this folder"):
        find(tmp_path)


def test_standard_input_is_read_lazily(folder: Path) -> None:
    def lines() -> "list[str]":
        raise AssertionError("read before it was asked for")

    found = find_inputs(["-"], lines, print)
    assert found.total is None
    with pytest.raises(AssertionError, match="read before"):
        next(found.paths)


def test_lines_of_standard_input_are_files_or_folders(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = find("-", lines=("one.png\n", "\n", f"{folder / 'b'}\r\n", f"{empty}\n", "sp ace.png"))
    expected = ["one.png", str(folder / "b/1.JPEG"), str(folder / "b/2.png"), str(empty), "sp ace.png"]
    assert list(found.paths) == expected


def test_empty_standard_input_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no paths"):
        list(find("-", lines=("\n",)).paths)
