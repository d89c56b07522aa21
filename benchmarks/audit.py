"""How long `pneumoscope data audit` takes as a whole process on the training data.

PNEUMOSCOPE_DATA=DATA python benchmarks/audit.py
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path

from common import run_process, write_result

GOAL = 60.0
THREADS = 2


def main() -> None:
    """Run it once; CPU time over two cores is what it would take with the machine to itself at best."""
    data = Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224"
    images = sum(1 for file in data.rglob("*.jpeg"))
    command = str(Path(sys.executable).with_name("pneumoscope"))
    with tempfile.TemporaryDirectory() as folder:
        cost = run_process([command, "data", "audit", str(data), "--out", folder, "--jobs", str(THREADS)])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    write_result(
        "audit",
        {"images": images, "threads": THREADS, "seconds": cost.seconds, "cpu_seconds": cpu, "peak_mb": cost.peak_mb},
        headline=[
            (
                f"audit of {images:,} images on two cores",
                f"{cost.seconds:.0f} s ({cpu:.0f} s CPU)",
                f"below {GOAL:.0f} s",
            )
        ],
    )


if __name__ == "__main__":
    main()
