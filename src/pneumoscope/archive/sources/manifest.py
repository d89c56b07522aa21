"""A manifest: a CSV or Parquet table with a column of paths."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from pneumoscope.archive.items import Item
from pneumoscope.archive.sources.folder import _stat, read_file
from pneumoscope.errors import ArchiveError


class ManifestSource:
    """Images that a table names, in its order; paths are relative to the table's folder.

    Args:
        address: of the table.
        column: with the paths.
        where: ``COLUMN=VALUE``: only rows that hold this value.

    Raises:
        ArchiveError: ``where`` is not of that form.
    """

    def __init__(self, address: str, *, column: str = "path", where: str | None = None) -> None:
        self.address, self._column = address, column
        self._where: tuple[str, str] | None = None
        if where is not None:
            name, sign, value = where.partition("=")
            if not sign or not name:
                raise ArchiveError(f"--where {where!r}: must be COLUMN=VALUE, such as view=PA")
            self._where = (name.strip(), value.strip())

    def items(self) -> Iterator[Item]:
        """Rows in order, each path once; see :class:`~pneumoscope.archive.items.Source`."""
        base = Path(self.address).parent
        for row in self._rows():
            if self._where is not None and row.get(self._where[0], "") != self._where[1]:
                continue
            path = row.get(self._column, "")
            if path:
                yield _stat(str(path if Path(path).is_absolute() else base / path))

    def _rows(self) -> Iterator[Mapping[str, str]]:
        file = Path(self.address)
        if file.suffix.lower() == ".csv":
            yield from self._csv(file)
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(file)
            self._check(table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=10_000):
                for row in batch.to_pylist():
                    yield {name: "" if value is None else str(value) for name, value in row.items()}
        except (OSError, pa.ArrowInvalid) as error:
            raise ArchiveError(f"{file}: not a Parquet table that can be read ({error})") from error

    def _csv(self, file: Path) -> Iterator[Mapping[str, str]]:
        try:
            with file.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as stream:
                first = stream.readline()
                stream.seek(0)
                delimiter = ";" if first.count(";") > first.count(",") else ","
                reader = csv.DictReader(stream, delimiter=delimiter)
                self._check(reader.fieldnames or ())
                yield from ({key: value or "" for key, value in row.items() if key} for row in reader)
        except (OSError, csv.Error) as error:
            raise ArchiveError(f"{file}: cannot be read ({error})") from error

    def _check(self, names: object) -> None:
        there = [str(name) for name in names] if isinstance(names, (list, tuple)) else []
        wanted = [self._column] if self._where is None else [self._column, self._where[0]]
        for name in wanted:
            if name not in there:
                raise ArchiveError(f"{self.address}: has no column '{name}'; it has {', '.join(there) or 'none'}")

    def read(self, item: Item) -> bytes:
        """Read one file; see :class:`~pneumoscope.archive.items.Source`."""
        return read_file(item.name)

    def stamp(self, item: Item) -> Item:
        """Look at one file; see :class:`~pneumoscope.archive.items.Source`."""
        return _stat(item.name)
