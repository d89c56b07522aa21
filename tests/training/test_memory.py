"""The allocator is told once and says yes; elsewhere nothing happens."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from pneumoscope.training import memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_blocks_stay_in_the_process() -> None:
    """In a process of its own: a large block that was touched and freed still counts as resident."""
    code = """
import ctypes, os, sys
from pneumoscope.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
pages = lambda: int(open("/proc/self/statm").read().split()[1])
before = pages()
block = libc.malloc(ctypes.c_size_t(64 << 20))
ctypes.memset(block, 1, 64 << 20)
libc.free(block)
print((pages() - before) * os.sysconf("SC_PAGE_SIZE") >> 20)
"""
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "plain")
    )
    assert kept >= 60
    assert returned < 8


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not memory.keep_freed_memory()
