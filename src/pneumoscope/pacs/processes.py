"""Whether the process that holds a lease still runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_STATE, _START = 0, 19
"""Fields of ``/proc/PID/stat``, counted from behind the name in brackets, which may hold anything."""


def name(process: int) -> str:
    """What tells a process from all others since the machine started: numbers are given out anew, start times not."""
    fields = _fields(process)
    return f"{process}:{fields[_START] if fields else ''}"


def is_alive(process_name: str) -> bool:
    """Whether a process still runs, by its :func:`name`; one that is dead and not buried yet does not."""
    number, _, start = process_name.partition(":")
    fields = _fields(int(number))
    if fields:
        return fields[_START] == start and fields[_STATE] not in ("Z", "X")
    return not start and _answers(int(number))


def _fields(process: int) -> list[str]:
    try:
        return (_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _answers(process: int) -> bool:
    """Where there is no ``/proc``."""
    if os.name == "nt":
        return True  # os.kill would end it; the lease runs out by itself
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
