"""Makes reports/*/out-of-fold.json anew from the scores beside it, when the report has learnt to say more.

python tools/out_of_fold.py

Model, operating points and calibration are those of the shipped file; a figure that the old report has must not change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pneumoscope.calibration.fit import Calibration, fit_scores
from pneumoscope.calibration.run import out_of_fold_scores
from pneumoscope.evaluation.out_of_fold import report_out_of_fold
from pneumoscope.training.out_of_fold import read_out_of_fold

REPORTS = Path(__file__).resolve().parents[1] / "reports"
_SAME = ("n", "threshold", "accuracy", "sensitivity", "specificity", "auc", "ece")


def main() -> int:
    """Rewrite every report whose figures stay; say which do not."""
    changed = []
    for file in sorted(REPORTS.glob("*/out-of-fold.json")):
        old = json.loads(file.read_text("utf-8"))
        first = next(iter(old.values()))
        scores = read_out_of_fold(file.with_suffix(".csv"))
        scale = fit_scores(out_of_fold_scores(scores))
        made = report_out_of_fold(
            scores,
            Calibration(scale.affine.temperature, scale.affine.bias).probability(scores.logits),
            threshold=first["threshold"],
            operating_point=first["operating_point"],
            operating_points={name: point["threshold"] for name, point in first["by_operating_point"].items()},
            model=first["model"],
        )
        new = {name: report.to_json() for name, report in made.items()}
        different = [
            f"{group}, {key}: {old[group][key]} is now {new[group][key]}"
            for group in old
            for key in _SAME
            if abs(old[group][key] - new[group][key]) > 1e-3
        ]
        if different:
            changed.append(f"{file.parent.name}: {'; '.join(different)}")
        else:
            file.write_text(json.dumps(new, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(changed), file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
