"""What the base install adds to a fresh environment, and how long `import pneumoscope` takes there.

python benchmarks/base_install.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write_result

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15


def megabytes(folder: Path) -> float:
    """Size of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    """Install into a new environment and look."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        python = str(environment / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        before = megabytes(environment)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", str(ROOT)], check=True)
        added = megabytes(environment) - before
        listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
        seconds = []
        for _ in range(ROUNDS):
            bare, full = (_timed([python, "-c", code]) for code in ("pass", "import pneumoscope"))
            seconds.append(full - bare)
    taken = statistics.median(seconds)
    write_result(
        "base_install",
        {"added_mb": added, "import_seconds": taken, "tensorflow": "tensorflow" in listed.lower()},
        headline=[
            ("added by the base install", f"{added:.0f} MB", "at most 200 MB"),
            ("`import pneumoscope`", f"{taken:.3f} s", "below 0.15 s"),
        ],
    )


def _timed(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
