"""Reports on out-of-fold scores: children at random, children framed as the other class is, adults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.evaluation.report import EvaluationReport, assemble
from pneumoscope.statistics.labelled_scores import CONTRADICTS
from pneumoscope.statistics.table import PredictionTable
from pneumoscope.training.out_of_fold import OutOfFold

RANDOM: Final = "random patients"
CONFLICTING: Final = "conflicting images"
OTHERS: Final = "other sources"
"""Names of the groups, in the order in which reports have them."""


def groups(scores: OutOfFold) -> dict[str, NDArray[np.bool_]]:
    """Images of each group that has both classes, ``bool [N]``.

    The largest source, those of its images whose framing contradicts the label, and the images of all other sources.
    """
    counts = {name: scores.sources.count(name) for name in scores.sources}
    largest = np.array(scores.sources) == max(counts, key=counts.__getitem__)
    against = np.where(scores.positive, scores.shortcut < CONTRADICTS, scores.shortcut > CONTRADICTS)
    found = {RANDOM: largest, CONFLICTING: largest & against, OTHERS: ~largest}
    return {name: rows for name, rows in found.items() if 0 < scores.positive[rows].sum() < rows.sum()}


def report_out_of_fold(
    scores: OutOfFold,
    probability: NDArray[np.float64],
    *,
    threshold: float,
    operating_point: str,
    operating_points: Mapping[str, float],
    model: Mapping[str, Any],
) -> dict[str, EvaluationReport]:
    """A report on each of :func:`groups`.

    Args:
        scores: N of them.
        probability: calibrated, ``float64 [N]``.
        threshold: as of :func:`~pneumoscope.evaluation.report.assemble`, as are the rest.
        operating_point: its name.
        operating_points: all thresholds that the model knows by name.
        model: what names the model.
    """
    return {
        name: assemble(
            table,
            threshold=threshold,
            operating_point=operating_point,
            operating_points=operating_points,
            split=f"out of fold, {name}",
            model=model,
            shortcut_limit=CONTRADICTS,
            shortcut_source="P(pneumonia) without lungs that the training drew by, out of fold by patient",
        )
        for name, table in tables(scores, probability).items()
    }


def tables(scores: OutOfFold, probability: NDArray[np.float64]) -> dict[str, PredictionTable]:
    """The predictions of each of :func:`groups`; ``probability`` is calibrated, ``float64 [N]``."""
    return {name: _table(scores, probability, np.flatnonzero(rows)) for name, rows in groups(scores).items()}


def _table(scores: OutOfFold, probability: NDArray[np.float64], rows: NDArray[np.intp]) -> PredictionTable:
    shortcut = scores.shortcut[rows]
    table = PredictionTable.from_arrays(
        scores.positive[rows].astype(np.int64),
        probability[rows],
        paths=[scores.paths[row] for row in rows],
        patients=[scores.patients[row] for row in rows],
        subtypes=[scores.subtypes[row] or None for row in rows],
    )
    return replace(table, shortcut=shortcut) if np.isfinite(shortcut).any() else table
