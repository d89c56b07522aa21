"""The table of predictions that every part of the evaluation reads, and its CSV form."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.files import read_csv, written_cell
from pneumoscope.labels import LABEL_NAMES, SUBTYPE_NAMES, Status

__all__ = ["LABEL_NAMES", "REQUIRED_COLUMNS", "SUBTYPE_NAMES", "PredictionTable"]

_CALLED: Final = ("PNEUMONIA", "1", "1.0", "TRUE", "YES", "POSITIVE")
_CLEARED: Final = ("NORMAL", "0", "0.0", "FALSE", "NO", "NEGATIVE")
"""How tables from elsewhere write a decision, in capitals."""

REQUIRED_COLUMNS: Final = ("path", "label", "probability")
_BETWEEN_NOTES: Final = " | "
_SUBTYPE_COLUMNS: Final = ("p_normal", "p_bacterial", "p_viral")
_COLUMNS: Final = (
    *("path", "label", "probability", "decision", "typicality"),
    *("status", "threshold", "patient", "subtype", *_SUBTYPE_COLUMNS, "sha256", "notes", "shortcut"),
)


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Labels and predictions of N images, checked on construction.

    Attributes:
        paths: what names each image, N unique strings.
        labels: ``int64 [N]``: 0 normal, 1 pneumonia.
        probabilities: ``float64 [N]``, P(pneumonia) in 0..1; NaN exactly where the status is not ``ok``.
        statuses: N.
        typicality: ``float64 [N]`` in 0..1, NaN where unknown; ``None`` where no image has one.
        subtypes: the true subtype of each image (one of :data:`SUBTYPE_NAMES`) or ``None`` where unknown.
        subtype_probabilities: ``float64 [N, 3]`` in the order of :data:`SUBTYPE_NAMES`, NaN rows where the
            status is not ``ok``; ``None`` where the model does not tell subtypes.
        patients: N patient keys; ``None`` for an image whose patient is unknown, which then counts as a
            patient of its own, or ``None`` for all.
        sha256: N hashes of the image files (``None`` for one that could not be read), or ``None``.
        shortcut: ``float64 [N]``, P(pneumonia) without looking at the lungs, NaN where unknown; ``None`` where no image
            has it.
        threshold: the threshold that the source of the table decided with, where it says.
        notes: what the reader of each image's record must know, N tuples of sentences; ``None`` where nobody said.
        operating_point: name of the threshold; empty where it has none.
        operating_points: all thresholds of the model by name.
        model: what names the model.

    Raises:
        DataError: no rows, columns of unequal length, a path twice, a label or probability out of range, or
            a missing probability that is not a refusal.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    statuses: tuple[Status, ...]
    typicality: NDArray[np.float64] | None = None
    subtypes: tuple[str | None, ...] | None = None
    subtype_probabilities: NDArray[np.float64] | None = None
    patients: tuple[str | None, ...] | None = None
    sha256: tuple[str | None, ...] | None = None
    shortcut: NDArray[np.float64] | None = None
    threshold: float | None = None
    notes: tuple[tuple[str, ...], ...] | None = None
    operating_point: str = ""
    operating_points: Mapping[str, float] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.paths)
        if n == 0:
            raise DataError("the table of predictions is empty: at least one image is needed")
        for name in (
            "labels",
            "probabilities",
            "statuses",
            "typicality",
            "subtypes",
            "patients",
            "sha256",
            "notes",
            "shortcut",
        ):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise DataError(f"table of predictions: {len(column)} {name} for {n} paths")
        if self.subtype_probabilities is not None and self.subtype_probabilities.shape != (n, 3):
            raise DataError(f"subtype_probabilities: {self.subtype_probabilities.shape}, needed ({n}, 3)")
        self._check_rows()

    def _check_rows(self) -> None:
        seen: dict[str, int] = {}
        for row, (path, label, p, status) in enumerate(
            zip(self.paths, self.labels, self.probabilities, self.statuses, strict=True)
        ):
            if path in seen:
                raise DataError(f"row {row} ({path}): the path of row {seen[path]} again; each image counts once")
            seen[path] = row
            if label not in (0, 1):
                raise DataError(f"row {row} ({path}): label {label}, needed 0 (NORMAL) or 1 (PNEUMONIA)")
            if status is Status.OK and not 0.0 <= p <= 1.0:  # NaN fails this too
                raise DataError(
                    f"row {row} ({path}): probability {p} with status 'ok', needed a number in 0..1; "
                    "mark images that were not judged as 'refused'"
                )
            if status is not Status.OK and not math.isnan(p):
                raise DataError(f"row {row} ({path}): status '{status}' and a probability ({p}) contradict")
        for row, subtype in enumerate(self.subtypes or ()):
            if subtype is not None and subtype not in SUBTYPE_NAMES:
                raise DataError(
                    f"row {row} ({self.paths[row]}): unknown subtype '{subtype}'; known are {', '.join(SUBTYPE_NAMES)}"
                )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """``bool [N]``: which images have a probability."""
        return np.isfinite(self.probabilities)

    @classmethod
    def from_arrays(
        cls,
        labels: NDArray[np.integer] | Sequence[int],
        probabilities: NDArray[np.floating] | Sequence[float],
        *,
        paths: Sequence[str] | None = None,
        patients: Sequence[str | None] | None = None,
        subtypes: Sequence[str | None] | None = None,
        subtype_probabilities: NDArray[np.floating] | None = None,
    ) -> PredictionTable:
        """A table of judged images from arrays, as training has them.

        Args:
            labels: ``[N]``, 0 or 1.
            probabilities: ``[N]``, 0..1, none missing.
            paths: N names; the row numbers where absent.
            patients: N patient keys, ``None`` where unknown.
            subtypes: N true subtypes.
            subtype_probabilities: ``[N, 3]``.
        """
        count = len(labels)
        return cls(
            paths=tuple(paths) if paths is not None else tuple(str(row) for row in range(count)),
            labels=np.asarray(labels, dtype=np.int64),
            probabilities=np.asarray(probabilities, dtype=np.float64),
            statuses=(Status.OK,) * count,
            subtypes=tuple(subtypes) if subtypes is not None else None,
            subtype_probabilities=(
                None if subtype_probabilities is None else np.asarray(subtype_probabilities, dtype=np.float64)
            ),
            patients=tuple(patients) if patients is not None else None,
        )

    def decisions(self, threshold: float) -> NDArray[np.int64]:
        """``int64 [N]``: 1 where P(pneumonia) >= ``threshold``, else 0, and -1 where not judged."""
        return np.where(self.judged, self.probabilities >= threshold, -1).astype(np.int64)

    def digest(self) -> str:
        """SHA-256 that names the data: over sorted lines of image hash (path where there is none) and label."""
        hashes = self.sha256 or (None,) * len(self)
        lines = sorted(
            f"{known or path}\t{label}\n" for known, path, label in zip(hashes, self.paths, self.labels, strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def to_csv(self, threshold: float) -> str:
        """The content of ``predictions.csv``; numbers are written so that reading gives the same bits back.

        Args:
            threshold: what the ``decision`` column is made with.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(self._csv_row(row, threshold) for row in range(len(self)))
        return text.getvalue()

    def _csv_row(self, row: int, threshold: float) -> tuple[str, ...]:
        probability = self.probabilities[row]
        subtypes = [math.nan] * 3 if self.subtype_probabilities is None else self.subtype_probabilities[row]
        return (
            written_cell(self.paths[row]),
            LABEL_NAMES[self.labels[row]],
            _cell(probability),
            "" if math.isnan(probability) else LABEL_NAMES[int(probability >= threshold)],
            "" if self.typicality is None else _cell(self.typicality[row]),
            self.statuses[row].value,
            _cell(threshold),
            "" if self.patients is None else written_cell(self.patients[row] or ""),
            "" if self.subtypes is None else self.subtypes[row] or "",
            *(_cell(p) for p in subtypes),
            "" if self.sha256 is None else self.sha256[row] or "",
            "" if self.notes is None else _BETWEEN_NOTES.join(self.notes[row]),
            "" if self.shortcut is None else _cell(self.shortcut[row]),
        )

    @classmethod
    def read_csv(cls, path: Path) -> PredictionTable:
        """Read a table of predictions, ours or from elsewhere.

        Needed are the columns ``path``, ``label`` (NORMAL, PNEUMONIA, 0 or 1) and ``probability`` (empty
        where the image was not judged). Read where present: ``decision``, ``typicality``, ``status``,
        ``threshold``, ``patient``, ``subtype``, ``p_normal``, ``p_bacterial``, ``p_viral``, ``sha256``.

        Raises:
            DataError: the file cannot be read, lacks a column, or a row is wrong; the message names the line.
        """
        content = read_csv(path)
        if missing := content.missing(REQUIRED_COLUMNS):
            raise DataError(
                f"{path}: no column {', '.join(missing)}; needed are {', '.join(REQUIRED_COLUMNS)}; {content.described}"
            )
        if not content.rows:
            raise DataError(f"{path}: holds no predictions, only its header")
        return _Reader(path, [row for _, row in content.rows]).table()


@dataclass(frozen=True)
class _Reader:
    """Turns CSV rows into a table; every complaint names file and line."""

    file: Path
    rows: list[dict[str, str]]

    def table(self) -> PredictionTable:
        labels = np.array([self._label(i) for i in range(len(self.rows))], dtype=np.int64)
        statuses = tuple(self._status(i) for i in range(len(self.rows)))
        probabilities = self._numbers("probability")
        typicality = self._numbers("typicality")
        p_subtypes = np.stack([self._numbers(name) for name in _SUBTYPE_COLUMNS], axis=1)
        patients = self._texts("patient")
        subtypes = self._texts("subtype")
        sha256 = self._texts("sha256")
        notes = self._texts("notes")
        shortcut = self._numbers("shortcut")
        try:
            table = PredictionTable(
                paths=tuple(self._texts("path")),
                labels=labels,
                probabilities=probabilities,
                statuses=statuses,
                typicality=None if np.isnan(typicality).all() else typicality,
                subtypes=tuple(text or None for text in subtypes) if any(subtypes) else None,
                subtype_probabilities=None if np.isnan(p_subtypes).all() else p_subtypes,
                patients=tuple(text or None for text in patients) if any(patients) else None,
                sha256=tuple(text or None for text in sha256) if any(sha256) else None,
                threshold=self._threshold(probabilities),
                shortcut=None if np.isnan(shortcut).all() else shortcut,
                notes=tuple(_split_notes(text) for text in notes) if any(notes) else None,
            )
        except DataError as error:
            raise DataError(f"{self.file}: {error}") from error
        return table

    def _where(self, index: int) -> str:
        return f"{self.file}, row {index} ({self.rows[index].get('path')})"

    def _text(self, index: int, name: str) -> str:
        return self.rows[index].get(name, "")

    def _texts(self, name: str) -> list[str]:
        return [self._text(index, name) for index in range(len(self.rows))]

    def _numbers(self, name: str) -> NDArray[np.float64]:
        values = np.full(len(self.rows), math.nan)
        for index, text in enumerate(self._texts(name)):
            if not text:
                continue
            try:
                values[index] = float(text)
            except ValueError:
                raise DataError(f"{self._where(index)}: {name} '{text}' is not a number") from None
            if not math.isfinite(values[index]):
                raise DataError(
                    f"{self._where(index)}: {name} is '{text}', not a finite number; "
                    "leave it empty for an image that was not judged"
                )
        return values

    def _label(self, index: int) -> int:
        known: Mapping[str, int] = {"NORMAL": 0, "0": 0, "PNEUMONIA": 1, "1": 1}
        text = self._text(index, "label").upper()
        if text not in known:
            raise DataError(f"{self._where(index)}: unknown label '{text}'; known are NORMAL (0), PNEUMONIA (1)")
        return known[text]

    def _status(self, index: int) -> Status:
        text = self._text(index, "status").lower()
        if not text:
            return Status.OK if self._text(index, "probability") else Status.REFUSED
        try:
            return Status(text)
        except ValueError:
            raise DataError(f"{self._where(index)}: status '{text}'; known are {', '.join(Status)}") from None

    def _threshold(self, probabilities: NDArray[np.float64]) -> float | None:
        """The one threshold that the file states or its decisions imply."""
        stated = self._numbers("threshold")
        decisions = [text.upper() for text in self._texts("decision")]
        called = np.array([text in _CALLED for text in decisions]) & np.isfinite(probabilities)
        cleared = np.array([text in _CLEARED for text in decisions]) & np.isfinite(probabilities)
        values = np.unique(stated[np.isfinite(stated)])
        if len(values) > 1:
            raise DataError(f"{self.file}: {len(values)} thresholds; one file is one operating point")
        known = {"", *_CALLED, *_CLEARED}
        for row, text in enumerate(decisions):
            if text not in known:
                raise DataError(
                    f"{self._where(row)}: decision '{text}'; known are PNEUMONIA (1, true) and NORMAL (0, false)"
                )
        highest_cleared = float(probabilities[cleared].max(initial=-math.inf))
        lowest_called = float(probabilities[called].min(initial=math.inf))
        threshold = float(values[0]) if len(values) else None
        if threshold is None and called.any():
            threshold = lowest_called
        if threshold is not None and not highest_cleared < threshold <= lowest_called:
            raise DataError(
                f"{self.file}: its decisions do not follow from 'probability >= {threshold}'; "
                "correct the decision column or leave it out"
            )
        return threshold


def _split_notes(text: str) -> tuple[str, ...]:
    return tuple(text.split(_BETWEEN_NOTES)) if text else ()


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
