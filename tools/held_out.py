"""Tables of what version 1 reached on data that its makers could not see, beside what its validations promised."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

HELD_OUT: Final = Path(__file__).resolve().parents[1] / "reports" / "held-out"

_METRICS: Final = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ece": "calibration error (ECE)",
}
_SIGNALS: Final = {
    "auc_random_patients": "AUC on random patients",
    "auc_conflicting": "AUC on conflicting images",
    "adults_rsna_auc": "AUC on adults, RSNA's reading",
    "adults_without_finding_specificity": "specificity on adults without finding",
}
_OUTCOMES: Final = {"test_accuracy": "accuracy on the official test", "test_auc": "AUC on the official test"}

Table = tuple[list[str], list[list[str]]]


def _read(name: str) -> Any:
    return json.loads((HELD_OUT / name).read_text("utf-8"))


def _bounds(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def official_test() -> Table:
    """Every shipped model of version 1 on the official test split, and below it what its validations had promised."""
    promised = _read("v1-validations.json")["models"]
    lines = []
    for file in sorted((HELD_OUT / "v1").glob("*.json")):
        report = json.loads(file.read_text("utf-8"))
        model = report["model"]
        name = f"`{model['name']}` {model['version']}"
        cells = [_bounds(report[key], report["ci95"].get(key)) for key in _METRICS]
        lines.append([f"**{name}, official test, n = {report['n']}**", *cells])
        for role, title in (("grouped", "random patients"), ("ordered", "time-ordered slice")):
            said = promised[model["name"]]["validations"][role]
            lines.append([f"promised by {title}, n = {said['n']}", *(f"{said[key]:.3f}" for key in _METRICS)])
    return ["model, data", *_METRICS.values()], lines


def headline() -> Table:
    """The official test alone, a line each."""
    header, lines = official_test()
    return header, [[cell.replace("**", "") for cell in line] for line in lines if line[0].startswith("**")]


def others() -> Table:
    """What the built-in model of version 1 made of adults, another hospital, and pictures that are no chest."""
    lines = []
    for row in _read("v1-others.json")["others"]:
        against = f" against {row['auc_against']}" if "auc_against" in row else ""
        lines.append(
            [
                row["set"],
                str(row["refused"]) if "refused" in row else "left out",
                str(row["called_pneumonia"]) if "called_pneumonia" in row else "",
                str(row["right"]) if "right" in row else "",
                f"{row['auc']:.2f}{against}" if "auc" in row else "",
            ]
        )
    return ["set", "refused", "called pneumonia", "right", "AUC"], lines


def by_shortcut() -> Table:
    """The built-in model of version 1 by what can be told without lungs."""
    lines = []
    for row in _read("v1-others.json")["by_shortcut"]:
        normals, ill = row["normals"], row["pneumonias"]
        lines.append(
            [
                f"{row['from']} to {row['to']}",
                f"{normals['training']:,}",
                f"{normals['test']['n']}",
                f"{normals['test']['specificity']:.2f}",
                f"{ill['training']:,}",
                f"{ill['slice']['n']}",
                f"{ill['slice']['sensitivity']:.2f}",
            ]
        )
    header = [
        "score without lungs",
        "normals in training",
        "normals in the test",
        "specificity there",
        "pneumonias in training",
        "pneumonias in the slice",
        "sensitivity there",
    ]
    return header, lines


def foretold() -> Table:
    """How well a model without lungs does, and how well its score foretells version 1's false alarms."""
    found = _read("v1-others.json")["without_lungs"]
    return ["a thumbnail without its middle", "AUC"], [
        ["children of the training data, out of fold by patient", f"{found['auc_training_out_of_fold']:.3f}"],
        ["official test, fitted on all training images", f"{found['auc_official_test']:.2f}"],
        [
            "normals of the official test that `pair` calls pneumonia, against its other normals",
            f"{found['auc_foretelling_false_alarms_of_test_normals']:.2f}",
        ],
    ]


def trials() -> Table:
    """The trainings from outside that the second version's design followed."""
    keys = (
        *("auc_random_patients", "auc_conflicting", "test_auc", "test_accuracy", "test_specificity"),
        *("test_sensitivity", "adults_rsna_auc", "adults_without_finding_specificity"),
    )
    lines = [
        [row["variant"], *("" if row[key] is None else _figure(key, row[key]) for key in keys)]
        for row in _read("v1-others.json")["trials"]["rows"]
    ]
    header = [
        *("variant", "AUC random patients", "AUC conflicting", "test: AUC", "accuracy", "specificity", "sensitivity"),
        *("adults: AUC", "adults without finding: specificity"),
    ]
    return header, lines


def _figure(key: str, value: float) -> str:
    return f"{value:.3f}" if "auc" in key or "accuracy" in key else f"{value:.2f}"


def signals() -> Table:
    """How each signal that a choice could rest on would have ranked the trials: pairs in the held-out order."""
    rows = _read("v1-others.json")["trials"]["rows"]
    lines = []
    for kind, chosen in _kinds(rows).items():
        for signal, title in _SIGNALS.items():
            cells = [_agreement(chosen, signal, outcome) for outcome in _OUTCOMES]
            if any(cells):
                lines.append([title, kind, *cells])
    return ["signal", "trials", *(f"pairs ranked as by {title}" for title in _OUTCOMES.values())], lines


def _kinds(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    whole = [row for row in rows if row["input"] == "whole picture"]
    box = [row for row in rows if row["input"] == "lung box"]
    return {f"all {len(rows)}": rows, f"{len(whole)} on the whole picture": whole, f"{len(box)} on the lung box": box}


def _agreement(rows: list[dict[str, Any]], signal: str, outcome: str) -> str:
    """Pairs that signal and outcome order alike, of those that both order at all; empty without such a pair."""
    known = [row for row in rows if row[signal] is not None]
    pairs = [
        (a[signal] - b[signal], a[outcome] - b[outcome])
        for a, b in combinations(known, 2)
        if a[signal] != b[signal] and a[outcome] != b[outcome]
    ]
    return f"{sum(x * y > 0 for x, y in pairs)} of {len(pairs)}" if pairs else ""


TABLES: Final[dict[str, Callable[[], Table]]] = {
    "held-out": headline,
    "held-out-test": official_test,
    "held-out-others": others,
    "held-out-foretold": foretold,
    "held-out-shortcut": by_shortcut,
    "held-out-trials": trials,
    "held-out-signals": signals,
}
