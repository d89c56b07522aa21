"""Files: written whole or not at all, hashed, and read as tables."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pneumoscope.errors import DataError, PneumoscopeError, UsageError


def make_folder(folder: Path) -> None:
    """Make an output folder and its parents; one that is there already is fine.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be used as output folder ({error.strerror or error})") from error


def fill_atomically(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a file beside ``path``, flush it to disk and move it there.

    Args:
        path: what is replaced; it keeps what it held if anything goes wrong.
        fill: writes the file whose path it is given; the path has the same ending as ``path``.

    Raises:
        PneumoscopeError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name[-200:]}")
    try:
        fill(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise PneumoscopeError(
            f"{path}: could not be written ({error.strerror or error}); what it held before is kept"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; a file of that name is replaced.

    Raises:
        PneumoscopeError: the disk is full or the folder cannot be written.
    """
    fill_atomically(path, lambda temporary: temporary.write_bytes(content))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); remove or replace it") from error


@dataclass(frozen=True)
class CsvFile:
    """A table that was read.

    Attributes:
        header: names of its columns.
        rows: each with its line in the file; what a short line lacks is ``""``.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def missing(self, columns: Iterable[str]) -> list[str]:
        """Those of ``columns`` that the file does not have."""
        return [name for name in columns if name not in self.header]


def read_csv(path: Path) -> CsvFile:
    """Read a CSV file with a header, in UTF-8 with or without a byte order mark; blanks around cells are dropped.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", restkey="", strict=True)
            header = tuple(reader.fieldnames or ())
            rows = tuple(
                (reader.line_num, {name: cell.strip() for name, cell in row.items() if name}) for row in reader
            )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read, it is not a CSV file in UTF-8 ({error})") from error
    return CsvFile(header, rows)
