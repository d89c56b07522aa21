"""Records streamed from a file: `predict --json`, a CSV of predictions, or a server's log of scores.

Only what is compared is kept, four bytes a number, so a million records fit in some tens of megabytes.
"""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.labels import Status
from pneumoscope.model.wording import SCORED_EVENT, kind_of

_MOST_KINDS: Final = 500
_OTHER: Final = "other"


class Feature(StrEnum):
    """Numbers that are compared."""

    SCORE = "score"
    TYPICALITY = "typicality"
    LUNG_HEIGHT = "lung box height"
    LUNG_WIDTH = "lung box width"
    LUNG_X = "lung box centre, across"
    LUNG_Y = "lung box centre, down"


@dataclass
class Sample:
    """What is kept of a file of records.

    Attributes:
        file: what messages call it.
        n: records.
        numbers: by feature, of the records that have it.
        statuses: how many of each.
        kinds: how many records carry a note or a reason of each kind.
        models: name, version and hash of every model that the records name.
        unreadable: lines that hold no record, and the first of them.
    """

    file: str
    n: int = 0
    numbers: dict[Feature, array[float]] = field(default_factory=lambda: {name: array("f") for name in Feature})
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    models: set[tuple[str, str, str]] = field(default_factory=set)
    unreadable: int = 0
    first_unreadable: int | None = None

    def values(self, feature: Feature) -> NDArray[np.float32]:
        """A feature's numbers, ``float32 [k]``, in order."""
        return np.frombuffer(self.numbers[feature], dtype=np.float32) if self.numbers[feature] else np.empty(0, "f4")

    def add(self, status: str, score: float | None, typicality: float | None, box: Any) -> None:
        """Count one record."""
        self.n += 1
        self.statuses[status] += 1
        if score is not None:
            self.numbers[Feature.SCORE].append(score)
        if typicality is not None:
            self.numbers[Feature.TYPICALITY].append(typicality)
        if box:
            left, top, right, bottom = box
            self.numbers[Feature.LUNG_HEIGHT].append(bottom - top)
            self.numbers[Feature.LUNG_WIDTH].append(right - left)
            self.numbers[Feature.LUNG_X].append((left + right) / 2)
            self.numbers[Feature.LUNG_Y].append((top + bottom) / 2)

    def add_kinds(self, sentences: Iterable[str], path: str) -> None:
        """Count the kinds of a record's notes and reasons, each once."""
        for kind in {kind_of(sentence, path) for sentence in sentences}:
            self.kinds[kind if kind in self.kinds or len(self.kinds) < _MOST_KINDS else _OTHER] += 1

    def skip(self, line: int) -> None:
        """Count a line that holds no record."""
        self.unreadable += 1
        self.first_unreadable = line if self.first_unreadable is None else self.first_unreadable


def read_records(file: Path) -> Sample:
    """Read a file of records as a stream.

    Args:
        file: JSON lines of ``predict --json`` or of a server's log, or a CSV with a header that names ``probability``.

    Raises:
        DataError: it cannot be read, holds no records, or those of several models.
    """
    sample = Sample(str(file))
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            first = _first_line(stream)
            stream.seek(0)
            if first.lstrip().startswith("{"):
                _read_json(stream, sample)
            else:
                _read_csv(stream, sample, first)
    except (OSError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if sample.n == 0:
        raise DataError(f"{file}: holds no records; give lines of `predict --json`, predictions.csv or a log of scores")
    if len(sample.models) > 1:
        told = ", ".join(sorted(f"{name} {version} ({sha[:12]})" for name, version, sha in sample.models))
        raise DataError(f"{file}: holds records of several models: {told}; scores of two models cannot be compared")
    return sample


def _first_line(stream: TextIO) -> str:
    for line in stream:
        if line.strip():
            return line
    return ""


def _read_json(stream: TextIO, sample: Sample) -> None:
    decode, statuses = json.JSONDecoder().decode, frozenset(Status)
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            record = decode(line)
            event = record.get("event")
            if event is not None and event != SCORED_EVENT:
                continue
            status, box = record["status"], record.get("lungs")
            if status not in statuses:
                raise ValueError(status)
            score = _share(record["probability"])
            sample.add(status, score, _share(record.get("typicality")), box and [_finite(x) for x in box["box"]])
            if sentences := (record.get("notes") or []) + (record.get("reasons") or []):
                sample.add_kinds(sentences, record.get("path", ""))
            if model := record.get("model"):
                sample.models.add((model["name"], model["version"], model["sha256"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            sample.skip(number)


def _read_csv(stream: TextIO, sample: Sample, header: str) -> None:
    names = next(csv.reader([header]))
    if "probability" not in names:
        raise DataError(f"{sample.file}: neither JSON lines nor a CSV whose header names 'probability'")
    places = {name: names.index(name) for name in ("probability", "typicality", "status") if name in names}
    rows = _rows_after_header(csv.reader(stream))
    for number, row in rows:
        try:
            score = _cell(row, places.get("probability"))
            status = row[places["status"]] if "status" in places else ""
            told = status or (Status.OK if score is not None else Status.REFUSED)
            sample.add(Status(told), score, _cell(row, places.get("typicality")), None)
        except (ValueError, IndexError):
            sample.skip(number)


def _rows_after_header(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    seen = False
    for number, row in enumerate(rows, 1):
        if seen and row:
            yield number, row
        seen = seen or bool(row)


def _cell(row: list[str], place: int | None) -> float | None:
    return None if place is None or not row[place] else _share(float(row[place]))


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return float(value)
