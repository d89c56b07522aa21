"""The facade: a table of predictions in, a folder with the whole report out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pneumoscope.errors import UsageError
from pneumoscope.evaluation import plots
from pneumoscope.evaluation.predictions import PredictionTable
from pneumoscope.evaluation.report import EvaluationReport, assemble


def evaluate_predictions(
    table: PredictionTable,
    *,
    threshold: float,
    operating_points: Mapping[str, float],
    split: str,
    model_info: Mapping[str, Any],
    out: Path,
    operating_point: str = "balanced",
    seed: int = 0,
) -> EvaluationReport:
    """Judge predictions and write ``report.json``, ``predictions.csv`` and the pictures.

    Everything is computed before the first file in ``out`` changes, each file is replaced as a whole, and
    ``report.json`` comes last.

    Args:
        table: predictions of one model.
        threshold: pneumonia from this probability on.
        operating_points: thresholds by name.
        split: name of the split.
        model_info: what names the model (name, version, sha256).
        out: folder, made where missing.
        operating_point: name of ``threshold``.
        seed: of the bootstrap.

    Returns:
        The report.

    Raises:
        UsageError: ``out`` is a file or cannot be written.
        DataError: the threshold is not in 0..1.
    """
    report = assemble(
        table,
        threshold=threshold,
        operating_point=operating_point,
        operating_points=operating_points,
        split=split,
        model=model_info,
        seed=seed,
    )
    files = {name: plots.png(draw(report)) for name, draw in plots.FIGURES.items()}
    files["report.json"] = (json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n").encode()
    _write(out, files, table, threshold)
    return report


def _write(out: Path, files: Mapping[str, bytes], table: PredictionTable, threshold: float) -> None:
    """Put the files into ``out``, each by renaming a finished one, in the order given."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as unfinished:
            made = Path(unfinished)
            table.write_csv(made / "predictions.csv", threshold)
            for name, content in files.items():
                (made / name).write_bytes(content)
            for name in ("predictions.csv", *files):
                (made / name).replace(out / name)
    except OSError as error:
        raise UsageError(f"{out}: the report cannot be written there ({error.strerror or error})") from error
