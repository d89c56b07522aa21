"""Writes ``docs/robustness.md`` from ``reports/robustness.json``; ``--check`` fails where they differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
REPORT: Final = ROOT / "reports" / "robustness.json"
PAGE: Final = ROOT / "docs" / "robustness.md"

HEAD: Final = """# Robustness

Files come from scanners, archives, phones and strangers. What is read is bounded before anything is decoded
(`imaging/limits.py`: pixels, bytes, segments, scans, blocks, tiles). What cannot be told from a file, the codecs that
DICOM encapsulates, runs in a process of its own that is ended when it takes more than {memory} MiB or {seconds} seconds
(`imaging/dicom/decoder_process.py`). Whatever is wrong with a file becomes its record, and the rest goes on.

`make fuzz` takes sound files of each kind (a drawn chest, which models mostly refuse as unlike a radiograph), changes
bytes at random, mostly in the headers, and puts them through `predict`, through the web API, and, as models, through
`load_model`. *Right* is a record with numbers, *refused* one with a reason (or a `ModelError`). *Wrong* is an exception
of another kind, an answer of 5xx, a crash, a hang of over {seconds} seconds, or a process that takes over {memory} MiB.
The last run, seed {seed}:

| kind | tried | right | refused | wrong | slowest, seconds | memory, MiB |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page(report: dict[str, Any]) -> str:
    """The document.

    Args:
        report: as ``tools/fuzz.py`` writes it.
    """
    text = HEAD.format(memory=report["memory"] // 2**20, seconds=f"{report['seconds']:g}", seed=report["seed"])
    for kind in report["kinds"]:
        memory = kind["peak_bytes"] / 2**20
        text += (
            f"| {kind['kind']} | {kind['tried']} | {kind['right']} | {kind['refused']} | {kind['wrong']} | "
            f"{kind['slowest_seconds']:.1f} | {memory:.0f} |\n"
        )
    totals = report["totals"]
    text += f"| all | {totals['tried']} | {totals['right']} | {totals['refused']} | {totals['wrong']} | | |\n"
    faults = [fault for kind in report["kinds"] for fault in kind["faults"]]
    return text + ("\nWhat went wrong:\n\n" + "\n".join(f"- {fault}" for fault in faults) + "\n" if faults else "")


def main() -> None:
    """Write or check the page."""
    text = page(json.loads(REPORT.read_text("utf-8")))
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != text:
        raise SystemExit(
            f"{PAGE.relative_to(ROOT)} is not what {REPORT.relative_to(ROOT)} says: run tools/robustness.py"
        )


if __name__ == "__main__":
    main()
