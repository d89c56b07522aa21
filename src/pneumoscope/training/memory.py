"""Keep freed memory in the process while training: giving it back and asking anew costs more than the arithmetic.

Deterministic TensorFlow allocates hundreds of megabytes a step; by default glibc maps each large block afresh and
every page of it faults.
"""

from __future__ import annotations

import ctypes
import platform

# mallopt(3)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and never to shrink it; nothing happens on other systems.

    Returns:
        Whether the system's allocator understood.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 * 2**20))
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)
