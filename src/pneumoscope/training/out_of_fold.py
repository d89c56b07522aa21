"""Out-of-fold scores: what networks say of patients that they were not trained on, image by image.

All that is fitted after training (calibration, operating points, typicality, reports) is fitted on these, since a
network's answers on its own training images are too sure. The file has one line an image; see :data:`COLUMNS`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.files import read_csv, write_atomically
from pneumoscope.labels import Label

COLUMNS: Final = ("path", "source", "label", "subtype", "patient", "fold", "logit", "shortcut")


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Scores of N images, each by the network that was not trained on its patient.

    Attributes:
        paths: relative to the data folder of their source where that is known, else the name alone.
        sources: names of the data sets.
        positive: which are pneumonia, ``bool [N]``.
        subtypes: ``NORMAL``, ``BACTERIAL``, ``VIRAL`` or empty.
        patients: keys.
        folds: of the network that gave the score, ``intp [N]``.
        logits: log odds of pneumonia before calibration, in nats, ``float64 [N]``.
        shortcut: P(pneumonia) by what is outside the lungs, out of fold too, ``float64 [N]``; NaN where not scored.
    """

    paths: tuple[str, ...]
    sources: tuple[str, ...]
    positive: NDArray[np.bool_]
    subtypes: tuple[str, ...]
    patients: tuple[str, ...]
    folds: NDArray[np.intp]
    logits: NDArray[np.float64]
    shortcut: NDArray[np.float64]


def write_out_of_fold(file: Path, scores: OutOfFold) -> None:
    """Write the table; a kill leaves what the file held before."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in range(len(scores.paths)):
        shortcut = scores.shortcut[row]
        writer.writerow(
            [
                scores.paths[row],
                scores.sources[row],
                Label.PNEUMONIA.value if scores.positive[row] else Label.NORMAL.value,
                scores.subtypes[row],
                scores.patients[row],
                int(scores.folds[row]),
                f"{scores.logits[row]:.5f}",
                f"{shortcut:.5f}" if np.isfinite(shortcut) else "",
            ]
        )
    write_atomically(file, text.getvalue().encode())


def read_out_of_fold(file: Path) -> OutOfFold:
    """Read the table.

    Raises:
        DataError: it is none, or has columns missing or values that are no numbers.
    """
    table = read_csv(file)
    if missing := table.missing(COLUMNS):
        raise DataError(f"{file}: no out-of-fold scores, the columns {', '.join(missing)} are missing")
    rows = [row for _, row in table.rows]
    if not rows:
        raise DataError(f"{file}: holds no scores")
    try:
        return OutOfFold(
            paths=_column(rows, "path"),
            sources=_column(rows, "source"),
            positive=np.array([Label(row["label"]) is Label.PNEUMONIA for row in rows]),
            subtypes=_column(rows, "subtype"),
            patients=_column(rows, "patient"),
            folds=np.array([int(row["fold"]) for row in rows], np.intp),
            logits=np.array([float(row["logit"]) for row in rows]),
            shortcut=np.array([float(row["shortcut"] or "nan") for row in rows]),
        )
    except ValueError as error:
        raise DataError(f"{file}: out-of-fold scores cannot be read ({error})") from error


def _column(rows: Sequence[dict[str, str]], name: str) -> tuple[str, ...]:
    return tuple(row[name] for row in rows)
