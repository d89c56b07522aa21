"""Writes the tree of docs/architecture.md: what each room is for, and how many modules and lines it has.

    python tools/rooms.py

Lines change with every commit, so unlike the figures of tools/figures.py they are not checked.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "pneumoscope"
DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->"

ROOMS = {
    "errors.py": "the exception tree, drawn at the top",
    "labels.py": "the closed sets of words: labels, subtypes, status",
    "files.py": "files written whole or not at all, hashed, read as CSV",
    "machine.py": "which processor this is",
    "imaging": "pixels in: whatever holds one radiograph becomes a Radiograph with all that its reader learnt",
    "model": "the one file: contract, package, runtime, lung field, classifier, record, and the words for it",
    "drawing": "heatmap, panel, score bar, PNG; one Jinja environment",
    "statistics": "tables of predictions, metrics, intervals, bootstrap, calibration, conformal bands",
    "datasets": "sources (Kermany, NIH, a plain folder), manifests, splits; audit/, fetch/",
    "training": "recipes, batches, augmentation, networks, lung field, fitting, run folders",
    "explain": "methods only: an image in, a heatmap out",
    "calibration": "after training, before export: scores in, calibration.json out",
    "evaluation": "score (model x data -> table), report, subgroups, robustness, explanations/",
    "monitoring": "a month's records against a baseline",
    "export": "pure conversion, and parity with Keras",
    "serving": "queue (no Flask), http/, the Gradio page",
    "pacs": "the hospital gateway",
    "archive": "whole archives, on Ray or locally",
    "demo": "the demo's page and sheet",
    "cli": "thin commands; heavy imports inside them",
}


def modules(room: str) -> list[Path]:
    """The Python files of a room."""
    place = PACKAGE / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def tree() -> str:
    """One line a room, those that import nothing first."""
    lines = ["    src/pneumoscope/"]
    for room, purpose in ROOMS.items():
        files = modules(room)
        count = sum(len(file.read_text("utf-8").splitlines()) for file in files)
        size = f"{count:,} lines" if len(files) == 1 else f"{len(files)} modules, {count:,} lines"
        name = room if room.endswith(".py") else f"{room}/"
        lines.append(f"      {name:<13} {purpose} ({size})")
    return "\n".join(lines)


def main() -> int:
    """Rewrite the block, and refuse a room that has no line of its own."""
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    if unknown := sorted(there - set(ROOMS)):
        print(f"rooms without a line in tools/rooms.py: {', '.join(unknown)}", file=sys.stderr)
        return 1
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{tree()}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
