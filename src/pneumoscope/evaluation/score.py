"""A model and labelled images in, a table of predictions with labels out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pneumoscope.datasets.audit.reference import reference_scores
from pneumoscope.datasets.registry import find_images, images_of
from pneumoscope.datasets.source import LabelledImage, Source
from pneumoscope.errors import ContractError, DataError
from pneumoscope.evaluation.report import assemble
from pneumoscope.model.classifier import Model
from pneumoscope.model.prediction import Prediction
from pneumoscope.statistics.table import LABEL_NAMES, SUBTYPE_NAMES, PredictionTable

DEFAULT_THRESHOLD: Final = 0.5
"""For a table of predictions that does not say what it was decided with."""

DEFAULT: Final = "default"

AS_DECIDED: Final = "as decided in the table"
"""Operating point of a table from elsewhere that says, or shows by its decisions, where it decides."""

Data = Path | str | Source | Sequence[LabelledImage]
"""Labelled images: a folder of a known data set, a source of your own, or a list."""


def evaluate(
    model: Model, data: Data, *, split: str | None = None, operating_point: str | None = None, jobs: int = 1
) -> PredictionTable:
    """Score a model on labelled images; what cannot be judged stays in the table and counts as an error.

    Args:
        model: of :func:`pneumoscope.load_model`.
        data: a folder of a known data set or in the layout of :mod:`pneumoscope.datasets.layout`, a source, or a list
            of images, as :func:`~pneumoscope.datasets.manifest.read_manifest` gives it.
        split: the split folder to take, where ``data`` is a folder that has them.
        operating_point: name of a threshold; the model's default for ``None``.
        jobs: threads that read and judge.

    Raises:
        DataError: there are no such images, or no class has one.
        ContractError: the model tells other classes apart, or has no operating point of that name.
    """
    check_labels(model)
    images = _images(data, split)
    name, point = model.contract.operating_point(operating_point)
    predictions = model.predict_many([image.path for image in images], jobs=jobs, operating_point=operating_point)
    table = tabulate(images, _with_progress(predictions, len(images)))
    return replace(
        table,
        shortcut=reference_scores(images, table.sha256, jobs=jobs),
        threshold=point.threshold,
        operating_point=name,
        operating_points={key: value.threshold for key, value in model.contract.operating_points.items()},
        model={"name": model.info.name, "version": model.info.version, "sha256": model.info.sha256},
    )


def report(table: PredictionTable, *, split: str = "data", seed: int = 0) -> dict[str, Any]:
    """The content of ``report.json`` as plain values.

    Args:
        table: of :func:`evaluate` or :func:`from_csv`, or one of your own, which then needs a threshold.
        split: what the report calls the images.
        seed: of the bootstrap.

    Raises:
        DataError: the table does not say from which probability on an image is called pneumonia.
    """
    if table.threshold is None:
        raise DataError("table of predictions: no threshold; set it with dataclasses.replace(table, threshold=...)")
    return assemble(
        table,
        threshold=table.threshold,
        operating_point=table.operating_point,
        operating_points=table.operating_points,
        split=split,
        model=table.model,
        seed=seed,
    ).to_json()


def check_labels(model: Model) -> None:
    """Refuse a model that tells other things apart: it would be scored on a question it does not answer.

    Raises:
        ContractError: naming what it tells apart.
    """
    labels, subtypes = model.contract.labels, model.contract.subtypes
    if labels != LABEL_NAMES:
        raise ContractError(
            f"{model.info.name}: tells {' from '.join(labels)}, and the images are labelled {' and '.join(LABEL_NAMES)}"
        )
    if subtypes and set(subtypes) != set(SUBTYPE_NAMES):
        raise ContractError(
            f"{model.info.name}: tells the subtypes {', '.join(subtypes)}; known are {', '.join(SUBTYPE_NAMES)}"
        )


def tabulate(images: Sequence[LabelledImage], predictions: Iterable[Prediction]) -> PredictionTable:
    """Labels and predictions side by side, both in the same order."""
    nan = float("nan")
    # Heatmaps are dropped as they come: those of a whole split would fill the memory.
    records = [replace(prediction, heatmap=None) for prediction in predictions]
    told = any(record.subtype is not None for record in records)
    return PredictionTable(
        paths=tuple(str(image.path) for image in images),
        labels=np.array([LABEL_NAMES.index(image.label) for image in images], dtype=np.int64),
        probabilities=np.array([nan if r.probability is None else r.probability for r in records]),
        statuses=tuple(record.status for record in records),
        typicality=np.array([nan if r.typicality is None else r.typicality for r in records]),
        subtypes=tuple(image.subtype for image in images),
        subtype_probabilities=(
            np.array([[(r.subtype or {}).get(name, nan) for name in SUBTYPE_NAMES] for r in records]) if told else None
        ),
        patients=tuple(image.patient if image.patient_known else None for image in images),
        sha256=tuple(record.sha256 for record in records),
        notes=tuple(record.notes for record in records),
    )


def from_csv(file: Path, threshold: float | None = None) -> PredictionTable:
    """A table of predictions from elsewhere, with a threshold and a name.

    Args:
        file: as :meth:`~pneumoscope.statistics.table.PredictionTable.read_csv` takes it.
        threshold: pneumonia from this probability on; what the table says, or :data:`DEFAULT_THRESHOLD`, for ``None``.

    Raises:
        DataError: the file cannot be used.
    """
    table = PredictionTable.read_csv(file)
    if threshold is not None:
        name = "given"
    elif table.threshold is not None:
        threshold, name = table.threshold, AS_DECIDED
    else:
        threshold, name = DEFAULT_THRESHOLD, DEFAULT
    return replace(table, threshold=threshold, operating_point=name, model={"name": file.name})


def _images(data: Data, split: str | None) -> Sequence[LabelledImage]:
    if isinstance(data, (str, Path)):
        return find_images(Path(data), split)
    return images_of(data) if isinstance(data, Source) else data


def _with_progress(predictions: Iterable[Prediction], total: int) -> Iterable[Prediction]:
    if not sys.stderr.isatty():
        return predictions
    from tqdm import tqdm

    bar: Iterable[Prediction] = tqdm(predictions, total=total, unit="image", file=sys.stderr)
    return bar
