"""Any address that fsspec knows: ``s3://``, ``gs://``, ``az://``, ``memory://`` ..."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pneumoscope.archive.items import Item
from pneumoscope.errors import ArchiveError, MissingExtraError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.limits import MAX_BYTES
from pneumoscope.imaging.search import is_image_name

_STAMPS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created", "updated")
"""What object stores call the mark that changes with an object."""


class RemoteSource:
    """Images below an address, folder by folder in the order of their names.

    Credentials come from where the store's own library looks (for S3: the usual AWS variables and files;
    ``AWS_ENDPOINT_URL`` for another server).

    Args:
        address: ``scheme://place``.

    Raises:
        ArchiveError: fsspec knows no such scheme.
        MissingExtraError: the library for that scheme is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{address}: reading from it", "archive") from error
        self.address = address
        self._scheme = address.partition("://")[0]
        try:
            self._system, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise ArchiveError(f"{address}: {error}") from error
        except ValueError as error:
            raise ArchiveError(f"{address}: {error}; give a scheme that fsspec knows, such as s3://") from error

    def items(self) -> Iterator[Item]:
        """Walk; see :class:`~pneumoscope.archive.items.Source`."""
        try:
            yield from self._walk(str(self._root))
        except (OSError, ValueError) as error:
            raise ArchiveError(f"{self.address}: cannot be listed ({error})") from error

    def _walk(self, folder: str) -> Iterator[Item]:
        # The cache of listings would keep every name of the archive in memory.
        entries = sorted(self._system.ls(folder, detail=True, refresh=True), key=lambda entry: entry["name"])
        self._system.invalidate_cache(folder)
        for entry in entries:
            name = str(entry["name"])
            base = name.rstrip("/").rpartition("/")[2]
            if base.startswith(".") or name.rstrip("/") == folder.rstrip("/"):
                continue
            if entry["type"] == "directory":
                yield from self._walk(name)
            elif "." not in base or is_image_name(base):
                yield self._item(name, entry)

    def _item(self, name: str, entry: dict[str, Any]) -> Item:
        stamp = next((str(entry[key]) for key in _STAMPS if entry.get(key)), "")
        size = entry.get("size")
        return Item(f"{self._scheme}://{name}", None if size is None else int(size), stamp)

    def read(self, item: Item) -> bytes:
        """Read one object; see :class:`~pneumoscope.archive.items.Source`."""
        if item.size is not None and item.size > MAX_BYTES:
            raise RefusedInputError(f"{item.name}: files of at most {MAX_BYTES // 2**20} MiB are read")
        try:
            return bytes(self._system.cat_file(item.name.partition("://")[2]))
        except Exception as error:
            raise UnreadableInputError(f"{item.name}: cannot be read ({type(error).__name__}: {error})") from error

    def stamp(self, item: Item) -> Item:
        """Ask for one object's size and mark; see :class:`~pneumoscope.archive.items.Source`."""
        name = item.name.partition("://")[2]
        try:
            return self._item(name, self._system.info(name, refresh=True))
        except Exception as error:
            raise UnreadableInputError(f"{item.name}: not there any more ({type(error).__name__})") from error
