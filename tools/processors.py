"""Whether the shipped files decide on this processor as on the one that ``reports/`` come from.

    PNEUMOSCOPE_DATA=DATA python tools/processors.py

Judges the time-ordered slice again with every shipped model and compares with ``reports/NAME/ordered/predictions.csv``;
writes ``reports/processors.json``. Says something only on a processor with other instruction sets than the machine on
which ``tools/reports.py`` ran.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pneumoscope.evaluation.explanations.perturbation import log_odds
from pneumoscope.machine import instruction_sets
from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.prediction import Status
from pneumoscope.statistics.intervals import wilson
from pneumoscope.statistics.table import PredictionTable

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
SHIPPED = (ROOT / "src" / "pneumoscope" / "models", ROOT / "models")


def compare_with_report(model: Model, data: Path) -> dict[str, Any]:
    """How the model's judgements here differ from those in its report.

    Args:
        model: a shipped model.
        data: folder that the report's paths start from.

    Returns:
        Counts, and the differences over the images that are judged in both: of the log odds and of typicality.
    """
    contract = model.contract
    there = PredictionTable.read_csv(REPORTS / contract.name / "ordered" / "predictions.csv")
    here = model.predict([data / path for path in there.paths])
    unlike = [
        path
        for path, each, digest in zip(there.paths, here, there.sha256 or (), strict=True)
        if each.sha256 != digest or each.status is Status.ERROR
    ]
    if unlike:
        sys.exit(f"{len(unlike)} images are not those of the report, such as {unlike[0]}")
    probability = np.array([np.nan if each.probability is None else each.probability for each in here])
    both = there.judged & np.isfinite(probability)
    pairs = zip(probability[both], there.probabilities[both], strict=True)
    shift = np.array([abs(log_odds(ours) - log_odds(theirs)) for ours, theirs in pairs])
    assert there.typicality is not None
    typicality = np.array([np.nan if each.typicality is None else each.typicality for each in here])
    flips = {
        name: int(((probability >= point.threshold) != (there.probabilities >= point.threshold))[both].sum())
        for name, point in contract.operating_points.items()
    }
    refusals = int((there.judged != np.isfinite(probability)).sum())
    ends = {"flips": max(flips.values()), "refusals": refusals}
    intervals = {name: wilson(count, len(here)) for name, count in ends.items()}
    return {
        "version": contract.version,
        "sha256": model.info.sha256,
        "quantization": contract.quantization.value,
        "n": len(here),
        "flips": flips,
        "refusals": refusals,
        "ci95": intervals,
        "log_odds": {
            "median": float(np.median(shift)),
            "p95": float(np.percentile(shift, 95)),
            "max": float(shift.max()),
        },
        "largest_typicality_difference": float(np.nanmax(np.abs(typicality - there.typicality))),
    }


def main() -> None:
    """Compare every shipped model."""
    data = Path(os.environ["PNEUMOSCOPE_DATA"])
    models = [load_model(file) for folder in SHIPPED for file in sorted(folder.glob("*.tflite"))]
    figures = {model.contract.name: compare_with_report(model, data) for model in models}
    content = {"instruction_sets": instruction_sets(), "models": figures}
    (REPORTS / "processors.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
