from __future__ import annotations

import errno
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pneumoscope.datasets.fetch import unpack as room
from pneumoscope.datasets.fetch.unpack import copy_folder, unpack_zip
from pneumoscope.errors import DataError

LAYOUT = {
    "chest_xray/train/NORMAL/IM-0001-0001.jpeg": b"n1",
    "chest_xray/train/PNEUMONIA/person1_virus_1.jpeg": b"p1",
    "chest_xray/test/NORMAL/IM-0002-0001.jpeg": b"n2",
    "chest_xray/test/PNEUMONIA/person2_virus_1.jpeg": b"p2",
    "chest_xray/train/NORMAL/.DS_Store": b"x",
    "__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.jpeg": b"x",
    "chest_xray/readme.txt": b"x",
}
WANTED = sorted(name.removeprefix("chest_xray/") for name in LAYOUT if name.endswith("jpeg") and "MACOSX" not in name)


def archive(folder: Path, members: dict[str, bytes] | list[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items() if isinstance(members, dict) else members:
            target.writestr(name, data)
    return path


def there(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_the_layout_is_found_at_any_depth_and_the_rest_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert unpack_zip(archive(tmp_path, LAYOUT), out) == 4
    assert there(out) == WANTED
    assert (out / "train/NORMAL/IM-0001-0001.jpeg").read_bytes() == b"n1"


def test_a_folder_is_copied_alike(tmp_path: Path) -> None:
    for name, data in LAYOUT.items():
        for copy in ("versions/2", "versions/2/chest_xray"):  # Kaggle's holds everything twice
            file = tmp_path / copy / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    out = tmp_path / "out"
    assert copy_folder(tmp_path / "versions", out) == 4
    assert there(out) == WANTED
    (tmp_path / "versions/2" / "chest_xray/train/NORMAL/IM-0001-0001.jpeg").write_bytes(b"other")
    with pytest.raises(DataError, match="are different files for train/NORMAL/IM-0001-0001"):
        copy_folder(tmp_path / "versions", tmp_path / "out2")


@pytest.mark.parametrize(
    "name",
    [
        "../train/NORMAL/a.jpeg",
        "x/../../train/NORMAL/a.jpeg",
        "/train/NORMAL/a.jpeg",
        "..\\train\\NORMAL\\a.jpeg",
        "C:/train/NORMAL/a.jpeg",
        "C:\\train\\NORMAL\\a.jpeg",
    ],
)
def test_members_that_would_leave_the_folder_condemn_the_archive(tmp_path: Path, name: str) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(DataError, match="would leave the folder; do not use it"):
        unpack_zip(archive(tmp_path, LAYOUT | {name: b"evil"}), out)
    assert there(tmp_path) == ["archive.zip"]


def test_links_condemn_the_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train/NORMAL/link.jpeg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DataError, match=r"link\.jpeg' is a link"):
        unpack_zip(archive(tmp_path, [(link, b"/etc/passwd")]), tmp_path / "out")


def test_two_files_for_one_place_are_refused_unless_equal(tmp_path: Path) -> None:
    twice = LAYOUT | {f"chest_xray/{name}": data for name, data in LAYOUT.items()}
    assert unpack_zip(archive(tmp_path, twice), tmp_path / "out") == 4
    twice |= {"other/train/NORMAL/IM-0001-0001.jpeg": b"different", "other/train/PNEUMONIA/a.jpeg": b"p"}
    with pytest.raises(DataError, match="are different files for train/NORMAL/IM-0001-0001"):
        unpack_zip(archive(tmp_path, twice), tmp_path / "out2")


def test_unsound_archives_leave_no_split(tmp_path: Path) -> None:
    whole = archive(tmp_path, LAYOUT).read_bytes()
    damaged = bytearray(whole)
    position = whole.index(b"IM-0001-0001.jpeg") + len("IM-0001-0001.jpeg")
    damaged[position : position + 2] = b"\xff\xff"
    for content in (whole[: len(whole) // 2], bytes(damaged), b"<html>not found</html>", b""):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(content)
        with pytest.raises(DataError, match=r"broken\.zip: not a sound ZIP file .*; fetch it again"):
            unpack_zip(broken, tmp_path / "out")
    assert not (tmp_path / "out" / "train").exists()


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \{train,val,test\}"):
        unpack_zip(archive(tmp_path, {"OCT2017/train/CNV/a.jpeg": b"x"}), tmp_path / "out")


def test_nothing_is_mixed_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="holds train already"):
        unpack_zip(archive(tmp_path, LAYOUT), tmp_path / "out")


def test_an_interrupted_call_leaves_no_split_and_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = archive(tmp_path, LAYOUT), tmp_path / "out"

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("shutil.copyfileobj", interrupted)
        unpack_zip(source, out)
    assert not (out / "train").exists()
    assert unpack_zip(source, out) == 4
    assert there(out) == WANTED


def test_a_full_disk_before_and_while_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = archive(tmp_path, LAYOUT), tmp_path / "out"

    def full(packed: io.BufferedIOBase, stream: io.BufferedIOBase, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfileobj", full)
        with pytest.raises(DataError, match="the disk is full; nothing was kept"):
            unpack_zip(source, out)
    assert there(out) == []
    monkeypatch.setattr(room, "free_bytes", lambda _: 3)
    with pytest.raises(DataError, match="MB are needed to unpack"):
        unpack_zip(source, out)


def test_other_pictures_beside_the_chest_radiographs_are_left(tmp_path: Path) -> None:
    retina = {"CellData/OCT/train/NORMAL/NORMAL-1001666-1.jpeg": b"eye", "CellData/OCT/test/NORMAL/a.jpeg": b"eye"}
    chests = {f"CellData/{name}": data for name, data in LAYOUT.items()}
    out = tmp_path / "out"
    assert unpack_zip(archive(tmp_path, chests | retina), out) == 4
    assert there(out) == WANTED


def test_a_call_that_was_killed_between_two_moves_is_finished_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpack_zip(archive(tmp_path, LAYOUT), out)
    (out / ".unpacked").mkdir()
    (out / "train").replace(out / ".unpacked" / "train")  # test/ had been moved
    room.finish_move(out)
    assert there(out) == WANTED and not (out / ".unpacked").exists()
    assert room.count_images(out) == 4
