"""From the paths on the command line to the files to judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumoscope.errors import UsageError

STANDARD_INPUT: Final = "-"
Tell = Callable[[str], None]

_BYTE_ORDER_MARK: Final = "\ufeff"


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
    warn: Tell,
    *,
    tell: Tell = lambda _: None,
    leave_out: Path | None = None,
) -> Inputs:
    """Find the files to judge.

    A file stands for itself, whether it exists or not: what cannot be read becomes a record. A folder stands for
    the images in it and below it, as :mod:`pneumoscope.imaging.search` finds them. ``-`` stands for the paths that
    standard input gives, one a line, with or without a byte order mark.

    Args:
        paths: as given.
        lines: gives the lines of standard input.
        warn: told of a folder that cannot be listed.
        tell: told of what a folder holds and is not judged.
        leave_out: an output folder, not searched.

    Raises:
        UsageError: a folder holds no images; or, when iterated, standard input gave no path, or no text.
    """
    parts: list[Iterable[str]] = []
    total = 0
    for path in paths:
        if path == STANDARD_INPUT:
            parts.append(_from_lines(lines, warn, tell, leave_out))
            continue
        found = _expand(path, warn, tell, leave_out)
        if not found:
            raise UsageError(f"{path}: no images in this folder, by ending or by content")
        parts.append(found)
        total += len(found)
    return Inputs((path for part in parts for path in part), None if STANDARD_INPUT in paths else total)


def _from_lines(lines: Callable[[], Iterable[str]], warn: Tell, tell: Tell, leave_out: Path | None) -> Iterator[str]:
    empty = True
    for number, line in enumerate(lines()):
        if number == 0:
            _check_text(line)
            line = line.removeprefix(_BYTE_ORDER_MARK)
        path = line.rstrip("\r\n")
        if path:
            empty = False
            # A folder without images stays what it is here: others were judged before, so it becomes a record.
            yield from _expand(path, warn, tell, leave_out) or [path]
    if empty:
        raise UsageError("standard input: no paths on it; give one a line")


def _check_text(first: str) -> None:
    """Refuse an image, or text of another encoding, where paths are wanted: each line of it would become a record."""
    from pneumoscope.imaging.formats import image_format, unread_picture

    head = first.encode("utf-8", "surrogateescape")
    kind = image_format(head) or unread_picture(head)
    if kind or "\0" in first:
        what = f"the bytes of an image ({kind})" if kind else "no text in UTF-8"
        raise UsageError(f"standard input: {what}; give paths, one a line, or the image's path as an argument")


def _expand(path: str, warn: Tell, tell: Tell, leave_out: Path | None) -> list[str]:
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a NUL in the name, which is a record here
        return [path]

    from pneumoscope.imaging.search import describe_passed_over, find_radiographs

    def unlisted(error: OSError) -> None:
        warn(f"{error.filename}: cannot be listed ({error.strerror}); its images are not judged")

    found, passed = find_radiographs(Path(path), unlisted, leave_out=leave_out)
    if passed:
        tell(describe_passed_over(passed))
    return [str(file) for file in found]
