"""Adults held out by patient, by how their label is known: the reading of RSNA's radiologists, reports without finding.

python tools/adults.py DATA    DATA holds the NIH sample's labels.csv; writes reports/NAME/adults-held-out.json

The scores are those of reports/NAME/out-of-fold.csv, each by a network that was not trained on its patient; decisions
are the shipped model's, on its calibrated scale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.fit import Calibration, fit_scores
from pneumoscope.calibration.run import out_of_fold_scores
from pneumoscope.files import read_csv
from pneumoscope.statistics.intervals import delong, wilson
from pneumoscope.training.out_of_fold import read_out_of_fold

REPORTS = Path(__file__).resolve().parents[1] / "reports"


def adults(file: Path, labels: Path) -> dict[str, Any]:
    """The figures of one model."""
    scores = read_out_of_fold(file)
    affine = fit_scores(out_of_fold_scores(scores)).affine
    probability = Calibration(affine.temperature, affine.bias).probability(scores.logits)
    known = {row["file"]: row for _, row in read_csv(labels).rows}
    rows = [known.get(Path(path).name) for path in scores.paths]

    def where(**values: str) -> NDArray[np.bool_]:
        return np.array([row is not None and all(row[key] == value for key, value in values.items()) for row in rows])

    opacity, normal = where(rsna_class="Lung Opacity"), where(rsna_class="Normal")
    without = where(nih_findings="No Finding") & ~opacity
    both = opacity | normal
    estimate = delong(opacity[both].astype(np.int64), probability[both])
    return {
        "rsna": {
            "opacity": int(opacity.sum()),
            "normal": int(normal.sum()),
            "auc": float(estimate.aucs[0]),
            "auc_ci95": estimate.interval(),
            "sensitivity": _share(probability >= 0.5, opacity),
            "specificity": _share(probability < 0.5, normal),
        },
        "without_finding": {"n": int(without.sum()), "specificity": _share(probability < 0.5, without)},
    }


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> dict[str, Any]:
    n, right = int(among.sum()), int((hits & among).sum())
    return {"value": right / n if n else None, "ci95": wilson(right, n)}


def main(arguments: list[str]) -> None:
    """Write the figures of every model that has out-of-fold scores."""
    for file in sorted(REPORTS.glob("*/out-of-fold.csv")):
        content = {"model": file.parent.name, **adults(file, Path(arguments[0]) / "labels.csv")}
        (file.parent / "adults-held-out.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(content))


if __name__ == "__main__":
    main(sys.argv[1:])
