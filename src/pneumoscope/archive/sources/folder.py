"""A folder, listed as it is walked: memory holds one folder's names at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pneumoscope.archive.items import Item
from pneumoscope.errors import ArchiveError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.limits import MAX_BYTES
from pneumoscope.imaging.search import is_image_file


class FolderSource:
    """Images in a folder and below it, by the order of their paths' parts; links are followed, loops are not.

    Args:
        address: the folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def items(self) -> Iterator[Item]:
        """Walk; see :class:`~pneumoscope.archive.items.Source`."""
        yield from self._walk(Path(self.address), ())

    def _walk(self, folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Item]:
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if above:  # one folder that cannot be listed must not end a night's work: a record says so
                yield Item(str(folder))
                return
            raise ArchiveError(f"{folder}: cannot be listed ({error.strerror or error})") from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                yield from self._walk(Path(entry.path), (*above, here))
            elif is_image_file(Path(entry.path)):
                yield _stat(entry.path)

    def read(self, item: Item) -> bytes:
        """Read one file; see :class:`~pneumoscope.archive.items.Source`."""
        return read_file(item.name)

    def stamp(self, item: Item) -> Item:
        """Look at one file; see :class:`~pneumoscope.archive.items.Source`."""
        return _stat(item.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _stat(path: str) -> Item:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of a million files is slow
    except (OSError, ValueError):
        return Item(path)
    return Item(path, status.st_size, str(status.st_mtime_ns))


def read_file(path: str) -> bytes:
    """The bytes of a local file.

    Raises:
        UnreadableInputError: missing, not permitted, or not a regular file.
        RefusedInputError: too large.
    """
    try:
        file = Path(path)
        if file.is_dir():
            raise UnreadableInputError(f"{path}: a folder that cannot be listed, or not an image")
        if file.stat().st_size > MAX_BYTES:
            raise RefusedInputError(f"{path}: files of at most {MAX_BYTES // 2**20} MiB are read")
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableInputError(f"{path}: cannot be read ({reason})") from error
