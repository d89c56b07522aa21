"""Draws the plots and pages of the reports whose JSON and CSV the repository keeps.

    python tools/report_pages.py [OUT]

For every model under reports/ with ``out-of-fold.json`` and ``out-of-fold.csv``, OUT/reports/MODEL/GROUP gets what
``pneumoscope evaluate`` writes: plots and a self-contained page, without radiographs. OUT is docs/_reports by default,
which the documentation build publishes under ``reports/``. Nothing is judged again: no model and no data is needed.
"""

from __future__ import annotations

import json
import shutil
import sys
from html import escape
from pathlib import Path

from pneumoscope.calibration.fit import Calibration, fit_scores
from pneumoscope.calibration.run import out_of_fold_scores
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.evaluation.out_of_fold import tables
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.training.out_of_fold import read_out_of_fold

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
DEFAULT_OUT = ROOT / "docs" / "_reports"


def reports() -> list[Path]:
    """What was measured out of fold, one file a model."""
    return sorted(REPORTS.glob("*/out-of-fold.json"))


def draw(file: Path, out: Path) -> list[str]:
    """Draw the groups of one model's ``out-of-fold.json`` into folders of ``out``; their places below it."""
    scores = read_out_of_fold(file.with_suffix(".csv"))
    scale = fit_scores(out_of_fold_scores(scores))
    probability = Calibration(scale.affine.temperature, scale.affine.bias).probability(scores.logits)
    places = []
    for group, known in json.loads(file.read_text("utf-8")).items():
        place = f"{file.parent.name}/{group.replace(' ', '-')}"
        evaluate_predictions(
            tables(scores, probability)[group],
            threshold=known["threshold"],
            operating_points={name: point["threshold"] for name, point in known["by_operating_point"].items()},
            operating_point=known["operating_point"],
            split=known["split"],
            model_info=known["model"],
            out=out / place,
        )
        places.append(place)
    return places


def main(arguments: list[str]) -> int:
    """Draw all reports and a page that lists them."""
    out = (Path(arguments[0]) if arguments else DEFAULT_OUT) / "reports"
    shutil.rmtree(out, ignore_errors=True)
    make_folder(out)
    names = [place for file in reports() for place in draw(file, out)]
    links = "\n".join(f'<li><a href="{escape(name)}/index.html">{escape(name)}</a></li>' for name in names)
    page = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Reports</title>\n'
        f"<h1>Reports</h1>\n<p>{escape(RESEARCH_USE_ONLY)}</p>\n<ul>\n{links}\n</ul>\n</html>\n"
    )
    write_atomically(out / "index.html", page.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
