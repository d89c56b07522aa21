"""Keeps warnings of the decoding libraries off the user's screen, for any number of threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_active = 0
_saved: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Ignore Python warnings while any thread is inside.

    Pillow and pydicom warn about odd metadata that changes no pixel; damage that does is raised as an error.
    ``warnings.catch_warnings`` alone restores the wrong filters when two threads overlap, so the first
    thread in saves them and the last one out restores them.
    """
    global _active, _saved
    with _lock:
        if _active == 0:
            _saved = warnings.catch_warnings(action="ignore")
            _saved.__enter__()
        _active += 1
    try:
        yield
    finally:
        with _lock:
            _active -= 1
            if _active == 0 and _saved is not None:
                _saved.__exit__(None, None, None)
                _saved = None
