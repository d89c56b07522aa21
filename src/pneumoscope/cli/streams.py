"""Standard input and output for file names of any spelling: names on Unix are bytes, not text."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable


def standard_input() -> Iterable[str]:
    """The lines of standard input; bytes that are not UTF-8 are kept as Python keeps them in file names."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin


def allow_any_name(as_json: bool) -> None:
    """Let names that the terminal's encoding lacks come out escaped; JSON is UTF-8 everywhere."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if as_json:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    else:
        sys.stdout.reconfigure(errors="backslashreplace")
