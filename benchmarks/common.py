"""What the benchmark scripts share: where results go, what machine it was, how a process is measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumoscope.machine import instruction_sets

RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "instruction_sets": instruction_sets(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def write_result(name: str, figures: dict[str, Any], headline: Sequence[tuple[str, str, str]]) -> None:
    """Write ``results/NAME.json``.

    Args:
        name: of the benchmark.
        figures: everything measured.
        headline: what README shows: (what, measured, goal) in words.
    """
    RESULTS.mkdir(exist_ok=True)
    lines = [{"what": what, "measured": measured, "goal": goal} for what, measured, goal in headline]
    content = {"benchmark": name, "machine": machine(), "headline": lines, **figures}
    text = json.dumps(content, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text, end="")


@dataclass(frozen=True)
class ProcessCost:
    """What a whole process cost.

    Attributes:
        seconds: wall time from start to exit.
        peak_mb: largest resident memory, megabytes.
    """

    seconds: float
    peak_mb: float


def run_process(command: Sequence[str]) -> ProcessCost:
    """Run a process to its end.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: ended with {process.returncode}")
    return ProcessCost(seconds, usage.ru_maxrss / 1024)
