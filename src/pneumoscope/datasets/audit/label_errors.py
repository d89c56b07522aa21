"""Suspected label errors from a model's predictions, by confident learning.

Northcutt, Jiang, Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, JAIR 70 (2021),
doi 10.1613/jair.1.12125. The probabilities must be out of sample (each image predicted by a model that was not
trained on it); predictions on training images only repeat the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.files import read_csv
from pneumoscope.labels import Label


@dataclass(frozen=True)
class Predicted:
    """One row of a table of predictions.

    Attributes:
        path: as written there.
        label: the label it was judged against.
        probability: P(pneumonia), 0..1; ``None`` where the model gave none.
    """

    path: str
    label: Label
    probability: float | None


def read_predictions(file: Path) -> list[Predicted]:
    """Read ``path``, ``label`` and ``probability`` of a ``predictions.csv`` as ``pneumoscope evaluate`` writes it.

    Raises:
        DataError: the file cannot be read, lacks a column, or a row is faulty.
    """
    table = read_csv(file)
    if missing := table.missing(("path", "label", "probability")):
        raise DataError(f"{file}: no column {', '.join(missing)}; path, label, probability are needed")
    return [_predicted(row, f"{file}: line {number}") for number, row in table.rows]


def _predicted(row: dict[str, str], where: str) -> Predicted:
    text = row["probability"]
    try:
        label = Label(row["label"])
        probability = float(text) if text else math.nan
    except ValueError as error:
        raise DataError(f"{where}: {error}; labels are {', '.join(Label)}, probabilities 0 to 1") from error
    if not math.isnan(probability) and not 0 <= probability <= 1:
        raise DataError(f"{where}: probability {text} is not within 0 to 1")
    return Predicted(row["path"], label, None if math.isnan(probability) else probability)


def suspected(positive: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions whose label the predictions contradict with confidence, most confident first.

    The threshold of a class is the mean probability that its own examples get (equation 2 of the paper). An
    example is suspected where the other class reaches its threshold and its own does not, or both do and
    the other is the likelier (the off-diagonal of the confident joint). Ranked by the normalised margin.

    Args:
        positive: ``bool [N]``, labelled pneumonia.
        probability: ``float64 [N]``, out-of-sample P(pneumonia).

    Returns:
        ``intp [suspects]``; empty where a class has no example.
    """
    if positive.all() or not positive.any():
        return np.empty(0, np.intp)
    own = np.where(positive, probability, 1 - probability)
    other = 1 - own
    threshold_pneumonia = probability[positive].mean()
    threshold_normal = (1 - probability[~positive]).mean()
    own_threshold = np.where(positive, threshold_pneumonia, threshold_normal)
    other_threshold = np.where(positive, threshold_normal, threshold_pneumonia)
    counted_as_other = (other >= other_threshold) & ((own < own_threshold) | (other > own))
    positions = np.flatnonzero(counted_as_other)
    return positions[np.argsort((own - other)[positions], kind="stable")]
