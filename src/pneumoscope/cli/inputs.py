"""From the paths on the command line to the files to judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumoscope.errors import UsageError
from pneumoscope.imaging.search import IMAGE_ENDINGS, is_image_file

STANDARD_INPUT: Final = "-"


@dataclass(frozen=True)
class Inputs:
    """What to judge, in order.

    Attributes:
        paths: files; read lazily where they come from standard input.
        total: how many there are; ``None`` where standard input says.
    """

    paths: Iterator[str]
    total: int | None


def find_inputs(
    paths: Sequence[str],
    lines: Callable[[], Iterable[str]],
    warn: Callable[[str], None],
    *,
    leave_out: Path | None = None,
) -> Inputs:
    """Find the files to judge.

    A file stands for itself, whether it exists or not: what cannot be read becomes a record. A folder stands for
    the images in it and below it, sorted: files with the ending of an image, and others that are DICOM by content;
    hidden files and folders in it are left out. ``-`` stands for the paths
    that standard input gives, one a line.

    Args:
        paths: as given.
        lines: gives the lines of standard input.
        warn: told of a folder that cannot be listed.
        leave_out: an output folder, not searched.

    Raises:
        UsageError: a folder holds no images; or, when iterated, standard input gave no path.
    """
    parts: list[Iterable[str]] = []
    total = 0
    for path in paths:
        if path == STANDARD_INPUT:
            parts.append(_from_lines(lines, warn, leave_out))
            continue
        found = _expand(path, warn, leave_out)
        if not found:
            raise UsageError(
                f"{path}: no images in this folder (endings looked for: {', '.join(sorted(IMAGE_ENDINGS))})"
            )
        parts.append(found)
        total += len(found)
    return Inputs((path for part in parts for path in part), None if STANDARD_INPUT in paths else total)


def _from_lines(
    lines: Callable[[], Iterable[str]], warn: Callable[[str], None], leave_out: Path | None
) -> Iterator[str]:
    empty = True
    for line in lines():
        path = line.rstrip("\r\n")
        if path:
            empty = False
            # A folder without images stays what it is here: others were judged before, so it becomes a record.
            yield from _expand(path, warn, leave_out) or [path]
    if empty:
        raise UsageError("standard input: no paths on it; give one a line")


def _expand(path: str, warn: Callable[[str], None], leave_out: Path | None) -> list[str]:
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a NUL in the name, which is a record here
        return [path]
    return [str(file) for file in sorted(_search(Path(path), warn, leave_out))]


def _search(folder: Path, warn: Callable[[str], None], leave_out: Path | None) -> Iterator[Path]:
    def unlisted(error: OSError) -> None:
        warn(f"{error.filename}: cannot be listed ({error.strerror}); its images are not judged")

    skipped = None if leave_out is None else leave_out.resolve()
    for place, folders, files in os.walk(folder, onerror=unlisted):
        here = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() != skipped]
        yield from (here / name for name in files if not name.startswith(".") and is_image_file(here / name))
