"""Draws the plots and pages of the reports whose JSON and CSV the repository keeps.

    python tools/report_pages.py [OUT]

For every folder under reports/ with a ``report.json`` and its ``predictions.csv``, OUT/FOLDER gets what ``pneumoscope
evaluate`` wrote beside them: plots and a self-contained page, without radiographs. OUT is docs/_reports by default,
which the documentation build publishes under ``reports/``. Nothing is judged again: no model and no data is needed.
"""

from __future__ import annotations

import json
import shutil
import sys
from html import escape
from pathlib import Path

from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.files import write_atomically
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics.table import PredictionTable

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
DEFAULT_OUT = ROOT / "docs" / "_reports"
WORKING_FILES = ("report.json", "predictions.csv")


def reports() -> list[Path]:
    """Folders with a report and the predictions it was made from."""
    return sorted(file.parent for file in REPORTS.rglob("report.json") if (file.parent / "predictions.csv").is_file())


def draw(folder: Path, out: Path) -> Path:
    """Draw one report's plots and page; its JSON and CSV are copied as they are."""
    known = json.loads((folder / "report.json").read_text("utf-8"))
    log = folder.parent / "log.csv"
    # A joined model's log has one line, which makes no curve.
    has_curve = log.is_file() and len(log.read_text("utf-8").splitlines()) > 2
    evaluate_predictions(
        PredictionTable.read_csv(folder / "predictions.csv"),
        threshold=known["threshold"],
        operating_points={name: point["threshold"] for name, point in known["by_operating_point"].items()},
        operating_point=known["operating_point"],
        split=known["split"],
        model_info=known["model"],
        command=known["command"],
        training_log=log if has_curve else None,
        seed=known["bootstrap"]["seed"],
        out=out,
    )
    for name in WORKING_FILES:
        shutil.copyfile(folder / name, out / name)
    return out / "index.html"


def main(arguments: list[str]) -> int:
    """Draw all reports and a page that lists them."""
    out = Path(arguments[0]) if arguments else DEFAULT_OUT
    shutil.rmtree(out / "reports", ignore_errors=True)
    names = [folder.relative_to(REPORTS).as_posix() for folder in reports()]
    for name in names:
        print(draw(REPORTS / name, out / "reports" / name))
    links = "\n".join(f'<li><a href="{escape(name)}/index.html">{escape(name)}</a></li>' for name in names)
    page = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Reports</title>\n'
        f"<h1>Reports</h1>\n<p>{escape(RESEARCH_USE_ONLY)}</p>\n<ul>\n{links}\n</ul>\n</html>\n"
    )
    write_atomically(out / "reports" / "index.html", page.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
