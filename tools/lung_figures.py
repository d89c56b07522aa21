"""Tables of the lung-field network: Dice on masks held out, and what it finds in children and adults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
_WEIGHTS: Final = ROOT / "src" / "pneumoscope" / "training" / "weights" / "lung-field.json"
_FOUND: Final = ROOT / "reports" / "lung-field"
_COUNTS: Final = {
    "pictures": "pictures",
    "without_lungs": "without lungs",
    "lungs_at_an_edge": "lungs at an edge",
    "surely_lung_min": "surely lung, least",
    "surely_lung_median": "surely lung, median",
    "box_width_mean": "width of the box, mean",
    "box_height_mean": "height of the box, mean",
}

Table = tuple[list[str], list[list[str]]]


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def held_out() -> Table:
    """What the shipped weights reached on pictures of patients that they were not trained on."""
    shipped = _read(_WEIGHTS)
    masks, report = shipped["run"]["masks"], shipped["held_out"]
    lines = [
        ["weights", f"{shipped['parameters']:,}"],
        ["masks used, left out", f"{masks['used']}, {len(masks['left_out'])}"],
        ["steps, pictures a step", f"{shipped['run']['recipe']['steps']}, {shipped['run']['recipe']['batch_size']}"],
        ["held out: pictures, patients", f"{report['n']}, {report['patients']}"],
        *([f"Dice, {name.replace('_', ' ')}", f"{value:.3f}"] for name, value in report["dice"].items()),
    ]
    return ["lung-field network", ""], lines


def found() -> Table:
    """Pictures without lungs, and boxes, by data set; ``tools/lung_sheet.py --json`` wrote them."""
    lines = []
    for name in ("children", "adults"):
        counted = _read(_FOUND / f"{name}.json")
        lines.append([name, *(_plain(counted[key]) for key in _COUNTS)])
    return ["", *_COUNTS.values()], lines


def _plain(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


TABLES: Final[dict[str, Callable[[], Table]]] = {"lung-field": held_out, "lung-field-found": found}
