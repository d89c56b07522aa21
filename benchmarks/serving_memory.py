"""Whether the web server's memory stays flat over 20,000 requests.

    PNEUMOSCOPE_DATA=DATA python benchmarks/serving_memory.py

The resident memory of ``pneumoscope serve`` with the built-in model at the start and after 1,000, 10,000 and 20,000
requests, with the small images of the validation split. Needs the ``web`` extra, and Linux.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import write_result
from serving import CLIENTS, our_server

MEASURED_AT, GROWTH_GOAL = (1000, 10_000, 20_000), 0.05


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux), megabytes of 2**20 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_memory(images: Sequence[bytes]) -> dict[str, float]:
    """Resident megabytes of a fresh server, by the number of requests that it has answered."""
    with our_server() as (send, pid):
        memory, done = {"0": resident_mb(pid)}, 0
        for goal in MEASURED_AT:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(send, (images[i % len(images)] for i in range(goal - done))))
            done = goal
            memory[str(goal)] = resident_mb(pid)
    return memory


def main() -> None:
    """Measure and write ``results/serving_memory.json``."""
    folder = Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224" / "val"
    memory = measure_memory([path.read_bytes() for path in sorted(folder.rglob("*.jpeg"))])
    first, last = (memory[str(count)] for count in (MEASURED_AT[0], MEASURED_AT[-1]))
    growth = last / first - 1
    what = f"server's memory from {MEASURED_AT[0]:,} to {MEASURED_AT[-1]:,} requests"
    headline = [(what, f"{growth:+.1%} of {first:.0f} MB", f"at most {GROWTH_GOAL:+.0%}")]
    write_result("serving_memory", {"memory_mb": memory, "memory_growth": growth}, headline)


if __name__ == "__main__":
    main()
