"""The tables of docs/models.md: exported forms against float32 and against Keras. ``tools/figures.py`` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Table = tuple[list[str], list[list[str]]]
"""Header and lines."""

_ENGINES = {"onnxruntime": "float32 in ONNX Runtime", "keras": "Keras predict (threads as it likes)"}


def _read(files: Iterator[Path]) -> list[Any]:
    return [json.loads(file.read_text("utf-8")) for file in sorted(files)]


def size_and_speed(benchmarks: Path) -> Table:
    """Size and speed of every exported form; in brackets the ratio to the float32 form of the same network."""
    lines: list[list[str]] = []
    for result in _read(benchmarks.glob("export_*.json")):
        float32 = result["forms"]["float32"]
        for kind, form in result["forms"].items():
            size = f"{form['bytes'] / 1e6:.2f} ({form['bytes'] / float32['bytes']:.0%})"
            times = [
                f"{form['milliseconds'][n]:.1f} ({form['milliseconds'][n] / float32['milliseconds'][n]:.2f})"
                for n in ("1", "2")
            ]
            lines.append([f"`{result['model']}`, {_ENGINES.get(kind, kind)}", size, f"{form['peak_mb']:.0f}", *times])
    return ["form", "file, MB", "peak memory, MB", "ms on 1 thread", "ms on 2 threads"], lines


def operations(benchmarks: Path) -> Table:
    """Parameters and multiply-accumulates of every network."""
    return ["network", "parameters", "multiply-accumulates an image, millions"], [
        [f"`{result['model']}`", f"{result['parameters']:,}", f"{result['multiply_accumulates'] / 1e6:.0f}"]
        for result in _read(benchmarks.glob("export_*.json"))
    ]


def parity(reports: Path) -> Table:
    """Every exported form against Keras on the same validation radiographs."""
    header = [
        "form", "share of float32's bytes", "largest difference of P", "flips at", "refusals that change",
        "change of AUC (95 %)", "median heatmap correlation", "limits",
    ]  # fmt: skip
    lines: list[list[str]] = []
    for record in _read(reports.glob("*/parity.json")):
        for export in record["exports"]:
            auc, correlation = export["metrics"]["auc"], export["heatmap_correlation"]
            low, high = auc["ci95_bootstrap"]
            kind = export["quantization"] + ("" if export["form"] == "litert" else f", {export['form']}")
            lines.append(
                [
                    f"`{record['model']['name']}`, {kind}, n = {export['n']}",
                    f"{export['share_of_float32']:.0%}",
                    f"{export['largest_difference']:.2g}",
                    ", ".join(f"{name} {change['count']}" for name, change in export["flips"].items()),
                    str(export["refusals"]["count"]),
                    f"{auc['difference']:+.5f} ({low:+.5f} to {high:+.5f})",
                    "none" if correlation is None else f"{correlation:.4f}",
                    f"broken, not written: {'; '.join(export['broken'])}" if export["broken"] else "hold",
                ]
            )
    return header, lines
