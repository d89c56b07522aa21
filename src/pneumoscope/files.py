"""Files: written whole or not at all, hashed, and read as tables."""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pneumoscope.errors import DataError, PneumoscopeError, UsageError

_WRITING = ".writing-"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


def written_cell(text: str) -> str:
    """A text as a CSV cell that no spreadsheet takes for a formula; :func:`read_csv` gives the text back."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def _read_cell(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def make_folder(folder: Path) -> None:
    """Make an output folder and its parents; one that is there already is fine.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be used as output folder ({error.strerror or error})") from error


def temporary_beside(path: Path) -> Path:
    """Where a file or folder is written before it is moved to ``path``; what killed processes left there is removed."""
    ending = path.name[-200:]
    for stale in path.parent.glob(f"{_WRITING}*-{glob.escape(ending)}"):
        number = stale.name.removeprefix(_WRITING).partition("-")[0]
        if number.isdecimal() and not _is_alive(int(number)):
            if stale.is_dir() and not stale.is_symlink():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    stale.unlink()
    return path.with_name(f"{_WRITING}{os.getpid()}-{ending}")


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # os.kill would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for one process at a time; the lock goes with the process, however it ends.

    Args:
        folder: made if it is not there.
        what: is done, as in "fetch".

    Raises:
        DataError: another process holds it, or the folder cannot be used.
    """
    lock = folder / f".{what}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        raise DataError(f"{folder}: cannot be used as output folder ({error.strerror or error})") from error
    with stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = lock.exists() and os.path.samestat(os.fstat(stream.fileno()), lock.stat())
        except ImportError:  # no such locks on this system
            held = True
        except OSError:
            held = False
        if not held:  # or another was just done and took its lock away
            raise DataError(f"{folder}: in use by another {what}; wait until it is done, and run it again")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def fill_atomically(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a file beside ``path``, flush it to disk and move it there.

    Args:
        path: what is replaced; it keeps what it held if anything goes wrong.
        fill: writes the file whose path it is given; the path has the same ending as ``path``.

    Raises:
        PneumoscopeError: the disk is full or the folder cannot be written.
    """
    temporary = temporary_beside(path)
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

    @property
    def described(self) -> str:
        """The columns that were found, and the separator where it is another than the comma."""
        first = self.header[0] if self.header else ""
        other = next((name for sign, name in _SEPARATORS.items() if sign in first), None)
        columns = first if len(self.header) == 1 else ", ".join(self.header)
        return f"it has the columns '{columns}'" + (f", separated by {other}; commas are read" if other else "")


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(path: Path) -> CsvFile:
    """Read a CSV file with a header, in UTF-8 with or without a byte order mark; blanks around cells are dropped.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", restkey="", strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            header = tuple(reader.fieldnames)
            rows = tuple(
                (reader.line_num, {name: _read_cell(cell.strip()) for name, cell in row.items() if name})
                for row in reader
            )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read, it is not a CSV file in UTF-8 ({error})") from error
    return CsvFile(header, rows)
