"""Files that are whole or not there: an interruption or a full disk leaves no half file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pneumoscope.errors import PneumoscopeError, UsageError


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
