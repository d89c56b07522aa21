"""An archive or a downloaded folder into the layout ``train|val|test/NORMAL|PNEUMONIA/*``."""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pneumoscope.datasets.fetch.download import free_bytes
from pneumoscope.datasets.layout import Split
from pneumoscope.errors import DataError
from pneumoscope.imaging.search import IMAGE_ENDINGS
from pneumoscope.labels import Label

_SPLITS = frozenset(split.value for split in Split)
_LABELS = frozenset(label.value for label in Label)
_STAGE = ".unpacking"
_UNPACKED = ".unpacked"
"""What the stage is called once it is whole: whoever finds it has only to move it on."""


def refuse_filled(out: Path) -> None:
    """Make sure that no split is in ``out`` yet, so that nothing is mixed or overwritten.

    Raises:
        DataError: one is.
    """
    if there := splits_in(out):
        raise DataError(f"{out}: holds {', '.join(there)} already; give another --out, or remove it first")


def splits_in(out: Path) -> list[str]:
    """Names of the splits that are in a folder."""
    return sorted(name for name in _SPLITS if (out / name).exists())


def count_images(out: Path) -> int:
    """Number of files in the splits of a folder."""
    return sum(path.is_file() for split in splits_in(out) for path in (out / split).rglob("*"))


def finish_move(out: Path) -> None:
    """Move on what an earlier call had unpacked whole before it was killed.

    Raises:
        DataError: the folder cannot be written.
    """
    unpacked = out / _UNPACKED
    if not unpacked.is_dir():
        return
    try:
        for split in sorted(unpacked.iterdir()):
            split.replace(out / split.name)
        unpacked.rmdir()
    except OSError as error:
        raise DataError(f"{out}: could not be written ({error.strerror or error})") from error


def unpack_zip(archive: Path, out: Path) -> int:
    """Unpack the radiographs of an archive, wherever in it the layout begins.

    Everything is written to a folder beside the result and moved there at the end, so an interrupted call
    leaves no half-filled split.

    Args:
        archive: a ZIP file.
        out: the data folder, without splits yet.

    Returns:
        Number of images.

    Raises:
        DataError: not a sound ZIP file, a member that would leave the folder or is a link, no radiographs in
            the layout, two different files for one place, or too little disk space.
    """
    refuse_filled(out)
    try:
        with zipfile.ZipFile(archive) as source:
            members = _chosen(source.infolist(), archive)
            _check_space(sum(member.file_size for member in members.values()), out)
            stage = _fresh_stage(out)
            for place, member in tqdm(members.items(), desc="Unpacking", unit="file"):
                target = stage / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as packed, target.open("wb") as stream:
                    shutil.copyfileobj(packed, stream, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: encrypted; NotImplementedError: a compression that Python does not know.
        raise DataError(f"{archive}: not a sound ZIP file ({error}); fetch it again") from error
    except OSError as error:
        raise _unwritable(out, error) from error
    _move_into_place(out)
    return len(members)


def copy_folder(source: Path, out: Path) -> int:
    """Copy the radiographs of a folder that holds the layout at some depth.

    Returns:
        Number of images.

    Raises:
        DataError: as :func:`unpack_zip`.
    """
    refuse_filled(out)
    files: dict[PurePosixPath, Path] = {}
    found = sorted(path for path in source.rglob("*") if path.is_file())
    inside = {file: PurePosixPath(file.relative_to(source).as_posix()) for file in found}
    trees = _trees(inside.values())
    for file, path in inside.items():
        place = _place(path)
        if place is None or (trees and PurePosixPath(*path.parts[:-3]) not in trees):
            continue
        twin = files.setdefault(place, file)
        if twin is not file and twin.read_bytes() != file.read_bytes():
            raise DataError(f"{source}: {twin} and {file} are different files for {place}")
    _check_found(files, str(source))
    _check_space(sum(file.stat().st_size for file in files.values()), out)
    try:
        stage = _fresh_stage(out)
        for place, file in tqdm(files.items(), desc="Copying", unit="file"):
            target = stage / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    except OSError as error:
        raise _unwritable(out, error) from error
    _move_into_place(out)
    return len(files)


def _chosen(members: Iterable[zipfile.ZipInfo], archive: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The radiographs by their place; one bad path condemns the whole archive before anything is written."""
    chosen: dict[PurePosixPath, zipfile.ZipInfo] = {}
    members = list(members)
    trees = _trees(PurePosixPath(member.filename) for member in members if not member.is_dir())
    for member in members:
        # ``orig_filename``: zipfile has already cut the name at a NUL and turned the separators.
        path = PurePosixPath(member.orig_filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in str(path):
            raise DataError(f"{archive}: the member {member.orig_filename!r} would leave the folder; do not use it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{archive}: the member {member.orig_filename!r} is a link; do not use this archive")
        place = None if member.is_dir() else _place(path)
        if place is None or (trees and PurePosixPath(*path.parts[:-3]) not in trees):
            continue
        twin = chosen.setdefault(place, member)
        if (twin.CRC, twin.file_size) != (member.CRC, member.file_size):
            raise DataError(f"{archive}: {twin.filename} and {member.filename} are different files for {place}")
    _check_found(chosen, str(archive))
    return chosen


def _trees(paths: Iterable[PurePosixPath]) -> frozenset[PurePosixPath]:
    """Folders that hold splits with both classes: beside chest radiographs an archive may hold other pictures.

    Version 3 of the data set holds retina scans, whose class NORMAL would become normal chests.
    """
    classes: dict[tuple[PurePosixPath, str], set[str]] = defaultdict(set)
    for path in paths:
        if _place(path) is not None:
            split, label, _ = path.parts[-3:]
            classes[PurePosixPath(*path.parts[:-3]), split].add(label)
    return frozenset(root for (root, _), labels in classes.items() if labels == _LABELS)


def _place(path: PurePosixPath) -> PurePosixPath | None:
    """``split/class/name`` of a radiograph; ``None`` for all else (folders' leavings, other data)."""
    if len(path.parts) < 3 or "__MACOSX" in path.parts:
        return None
    split, label, name = path.parts[-3:]
    is_image = path.suffix.lower() in IMAGE_ENDINGS and not name.startswith(".")
    return PurePosixPath(split, label, name) if split in _SPLITS and label in _LABELS and is_image else None


def _check_found(files: dict[PurePosixPath, zipfile.ZipInfo] | dict[PurePosixPath, Path], source: str) -> None:
    if not files:
        raise DataError(f"{source}: holds no {{train,val,test}}/{{NORMAL,PNEUMONIA}}/* images")


def _check_space(needed: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    free = free_bytes(out)
    if needed > free:
        raise DataError(
            f"{out}: {max(free, 0) / 1e6:,.0f} MB are free, {needed / 1e6:,.0f} MB are needed to unpack; "
            "free some space or give another --out"
        )


def _fresh_stage(out: Path) -> Path:
    stage = out / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    return stage


def _move_into_place(out: Path) -> None:
    (out / _STAGE).replace(out / _UNPACKED)
    finish_move(out)


def _unwritable(out: Path, error: OSError) -> DataError:
    shutil.rmtree(out / _STAGE, ignore_errors=True)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"{out}: the disk is full; nothing was kept, free some space and run it again")
    return DataError(f"{out}: could not be written ({error.strerror or error})")
