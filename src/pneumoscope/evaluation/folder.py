"""The facade: a table of predictions in, a folder with the whole report out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pneumoscope.evaluation import html, plots
from pneumoscope.evaluation.explanations import plots as explanation_plots
from pneumoscope.evaluation.explanations.summary import ExplanationScores
from pneumoscope.evaluation.report import EvaluationReport, assemble
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.model.contract import ConformalBand
from pneumoscope.statistics.compare import Rival
from pneumoscope.statistics.table import PredictionTable

COMPARISON_FIGURE = "comparison.png"
TRAINING_FIGURE = "training.png"
EXPLANATIONS_FIGURE = "explanations.png"
OPTIONAL_FIGURES = frozenset({COMPARISON_FIGURE, TRAINING_FIGURE, EXPLANATIONS_FIGURE})


def evaluate_predictions(
    table: PredictionTable,
    *,
    threshold: float,
    operating_points: Mapping[str, float],
    split: str,
    model_info: Mapping[str, Any],
    out: Path,
    command: str = "",
    operating_point: str = "balanced",
    render_error: Callable[[str], bytes | None] | None = None,
    rival: Rival | None = None,
    training_log: Path | None = None,
    explanations: ExplanationScores | None = None,
    render_heatmaps: Callable[[str], bytes | None] | None = None,
    conformal: ConformalBand | None = None,
    seed: int = 0,
) -> EvaluationReport:
    """Judge predictions and write the report: JSON, CSV, pictures and one self-contained page.

    Everything is computed before the first file in ``out`` changes, each file is replaced as a whole, and
    ``report.json`` comes last.

    Args:
        table: predictions of one model.
        threshold: pneumonia from this probability on.
        operating_points: thresholds by name.
        split: name of the split.
        model_info: what names the model (name, version, sha256).
        out: folder, made where missing.
        command: that the report is made by.
        operating_point: name of ``threshold``.
        render_error: path -> PNG bytes of a wrongly judged image with its heatmap, or ``None`` where there is
            none; without it the page shows no radiographs.
        rival: a second model on the same images, to compare with.
        training_log: CSV log of the run that made the model.
        explanations: scores of the model's heatmaps on some of the images, from ``pneumoscope.explain``.
        render_heatmaps: path -> PNG bytes of an image with its heatmaps side by side; without it the page shows none.
        conformal: scores at which the model does not know, of its contract.
        seed: of the bootstrap.

    Returns:
        The report.

    Raises:
        UsageError: ``out`` cannot be made.
        DataError: the threshold is not in 0..1, the rival saw other images, or the log is not one.
        PneumoscopeError: a file cannot be written.
    """
    make_folder(out)
    report = assemble(
        table,
        threshold=threshold,
        operating_point=operating_point,
        operating_points=operating_points,
        split=split,
        model=model_info,
        command=command,
        rival=rival,
        explanations=explanations,
        conformal=conformal,
        seed=seed,
    )
    figures = {name: plots.png(draw(report)) for name, draw in plots.FIGURES.items()}
    if rival is not None:
        figures[COMPARISON_FIGURE] = plots.png(plots.comparison(report))
    if training_log is not None:
        figures[TRAINING_FIGURE] = plots.png(plots.training_curves(training_log))
    if report.explanations is not None:
        figures[EXPLANATIONS_FIGURE] = plots.png(explanation_plots.explanations(report.explanations))
    page = html.render(report, figures, render_error, render_heatmaps)
    for stale in OPTIONAL_FIGURES - figures.keys():
        (out / stale).unlink(missing_ok=True)  # of an earlier report in the same folder
    for name, picture in figures.items():
        write_atomically(out / name, picture)
    write_atomically(out / "predictions.csv", table.to_csv(threshold).encode())
    write_atomically(out / "index.html", page.encode())
    content = json.dumps(report.to_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(out / "report.json", content.encode())
    return report
