"""A tar (a WebDataset shard is one) or ZIP of images, read without unpacking it to disk."""

from __future__ import annotations

import tarfile
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from pneumoscope.archive.items import Item
from pneumoscope.errors import ArchiveError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.limits import MAX_BYTES
from pneumoscope.imaging.search import is_image_name

_SEPARATOR = "::"
"""Between the bundle's path and the member's, as fsspec chains them."""


def _member(name: str) -> str:
    return name.partition(_SEPARATOR)[2]


def _is_wanted(member: str) -> bool:
    """Members with the ending of an image or of DICOM, or with none; a WebDataset's texts and labels are left out."""
    path = PurePosixPath(member)
    return not any(part.startswith(".") for part in path.parts) and (not path.suffix or is_image_name(path.name))


class TarSource:
    """Images in a tar, plain or compressed, in its order.

    A plain tar is read at the members' places; a compressed one from its start for each member that is out of order.

    Args:
        address: of the tar.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._open: tarfile.TarFile | None = None

    def items(self) -> Iterator[Item]:
        """Members in order; see :class:`~pneumoscope.archive.items.Source`."""
        try:
            with tarfile.open(self.address) as bundle:
                for member in bundle:
                    bundle.members = []  # type: ignore[attr-defined]  # else a million members stay in memory
                    if member.isfile() and _is_wanted(member.name):
                        place = f"{member.offset_data}:{member.size}"
                        yield Item(f"{self.address}{_SEPARATOR}{member.name}", member.size, place)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ArchiveError(f"{self.address}: damaged or cut short tar ({error})") from error

    def read(self, item: Item) -> bytes:
        """Read one member; see :class:`~pneumoscope.archive.items.Source`."""
        if item.size is not None and item.size > MAX_BYTES:
            raise RefusedInputError(f"{item.name}: files of at most {MAX_BYTES // 2**20} MiB are read")
        try:
            if self._open is None:
                self._open = tarfile.open(self.address)  # noqa: SIM115 - kept open for the members to come
                weakref.finalize(self, self._open.close)
            place, _, size = item.modified.partition(":")
            stream = cast(IO[bytes], self._open.fileobj)
            stream.seek(int(place))
            content = stream.read(int(size))
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise UnreadableInputError(f"{item.name}: cannot be read ({error})") from error
        if len(content) != int(size):
            raise UnreadableInputError(f"{item.name}: the tar ends before its {size} bytes")
        return content

    def stamp(self, item: Item) -> Item:
        """As listed: members of a tar do not change one by one."""
        return item


class ZipSource:
    """Images in a ZIP, in the order of its directory.

    Args:
        address: of the ZIP.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._open: zipfile.ZipFile | None = None

    def items(self) -> Iterator[Item]:
        """Members in order; see :class:`~pneumoscope.archive.items.Source`."""
        try:
            with zipfile.ZipFile(self.address) as bundle:
                for member in bundle.infolist():
                    if not member.is_dir() and _is_wanted(member.filename):
                        name = f"{self.address}{_SEPARATOR}{member.filename}"
                        yield Item(name, member.file_size, f"crc32:{member.CRC:08x}")
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ArchiveError(f"{self.address}: damaged or cut short ZIP ({error})") from error

    def read(self, item: Item) -> bytes:
        """Read one member; see :class:`~pneumoscope.archive.items.Source`."""
        try:
            if self._open is None:
                self._open = zipfile.ZipFile(self.address)
                weakref.finalize(self, self._open.close)
            with self._open.open(_member(item.name)) as stream:
                content = stream.read(MAX_BYTES + 1)
        except (
            zipfile.BadZipFile,
            OSError,
            KeyError,
            ValueError,
            RuntimeError,
            NotImplementedError,
            EOFError,
        ) as error:
            raise UnreadableInputError(f"{item.name}: cannot be read ({error})") from error
        if len(content) > MAX_BYTES:
            raise RefusedInputError(f"{item.name}: files of at most {MAX_BYTES // 2**20} MiB are read")
        return content

    def stamp(self, item: Item) -> Item:
        """As listed: members of a ZIP do not change one by one."""
        return item
