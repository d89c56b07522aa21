"""Time that no clock change touches: seconds since this machine started, the same for all of its processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """What tells one start of the machine from the next; times of another start mean nothing."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # Elsewhere: when the machine started, to ten minutes. A clock that jumps further makes everything due at once.
        return str(round((time.time() - time.monotonic()) / 600))


def now() -> float:
    """Seconds since the machine started, the time it slept included where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
