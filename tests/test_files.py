"""Files that are whole or not there."""

from pathlib import Path

import pytest

from pneumoscope.errors import PneumoscopeError, UsageError
from pneumoscope.files import make_folder, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    write_atomically(file, b"old")
    write_atomically(file, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("x.png", b"new")]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"old")
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write_bytes(path, content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PneumoscopeError, match=r"x\.png: could not be written \(No space left on device\)"):
        write_atomically(file, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("x.png", b"old")]


def test_a_folder_below_a_file_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be used as output folder"):
        make_folder(tmp_path / "file" / "below")
