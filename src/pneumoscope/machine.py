"""Which processor this is: what speed, and the last digits of a quantised model, depend on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

INSTRUCTION_SETS: Final = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""Those by which LiteRT chooses how it computes, as Linux names them; the last two are ARM's."""

_INFORMATION = Path("/proc/cpuinfo")


def processor_name() -> str:
    """As the operating system calls it; the architecture where it has no name."""
    for line in _information().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """Those of :data:`INSTRUCTION_SETS` that the processor has; none where the system is not Linux."""
    flags = set(_information().split())
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


def _information() -> str:
    return _INFORMATION.read_text("utf-8", errors="replace") if _INFORMATION.exists() else ""
