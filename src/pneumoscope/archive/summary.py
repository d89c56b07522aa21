"""What came of a job: read from its results as a stream."""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pneumoscope.archive.job import Settings, read_settings
from pneumoscope.drawing.page import render
from pneumoscope.errors import ArchiveError
from pneumoscope.files import write_atomically
from pneumoscope.model.contract import RESEARCH_USE_ONLY

SLOWEST: Final = 20
LISTED: Final = 50
"""Groups of duplicates, reasons and notes that a summary lists."""

BINS: Final = 20


@dataclass
class Summary:
    """Counts over all committed shards.

    Attributes:
        settings: of the job.
        inputs: committed.
        planned: in the plan; more than ``inputs`` where the job is not finished.
        repeated: names that the source listed again; each counts once.
        statuses: inputs by status.
        labels: judged inputs by label.
        uncertain: judged inputs whose prediction set holds both labels.
        histogram: judged inputs by probability, ``BINS`` equal bins.
        by_format: of each file format, inputs by status.
        by_note: of each note, judged inputs by label: populations outside the model's own among them.
        reasons: refusals and failures by reason, numbers and names left out.
        notes: judged inputs by note.
        slowest: (seconds, path), slowest first.
        duplicates: paths of byte-identical inputs, a group each, the first ``LISTED`` groups.
        duplicate_groups: number of such groups.
        bytes: read.
        seconds: of all workers together.
    """

    settings: Settings
    inputs: int = 0
    planned: int = 0
    repeated: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    by_format: dict[str, Counter[str]] = field(default_factory=dict)
    by_note: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    duplicate_groups: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        values = {key: value for key, value in self.__dict__.items() if key != "settings"}
        return {"settings": self.settings.__dict__, **values}


def summarise(folder: Path) -> Summary:
    """Read a job's committed results.

    Raises:
        ArchiveError: the folder holds no job, or a table in it is damaged.
    """
    summary = Summary(read_settings(folder))
    complete = folder / "plan" / "complete.json"
    if complete.is_file():
        plan = json.loads(complete.read_text("utf-8"))
        summary.planned, summary.repeated = plan["inputs"], plan["repeated"]
    for table in _tables(folder / "results"):
        _count(summary, table)
    slow: list[tuple[float, str]] = []
    for table in _tables(folder / "timings"):
        for row in table.to_pylist():
            taken = row["read"] + row["judge"]
            summary.seconds += taken
            heapq.heappush(slow, (taken, row["path"]))
            if len(slow) > SLOWEST:
                heapq.heappop(slow)
    summary.slowest = sorted(slow, reverse=True)
    _find_duplicates(summary, folder / "results")
    return summary


def _tables(folder: Path) -> Iterator[pa.Table]:
    for file in sorted(folder.glob("part-*/*.parquet")):
        try:
            yield pq.read_table(file)
        except (OSError, pa.ArrowInvalid) as error:
            raise ArchiveError(f"{file}: damaged ({error}); delete it and run again with --resume") from error


def _count(summary: Summary, table: pa.Table) -> None:
    for row in table.to_pylist():
        summary.inputs += 1
        summary.statuses[row["status"]] += 1
        summary.bytes += row["bytes"] or 0
        summary.by_format.setdefault(row["format"] or "not read", Counter())[row["status"]] += 1
        if row["status"] != "ok":
            summary.reasons.update({_kind(reason, row["path"]) for reason in row["reasons"]})
            continue
        summary.labels[row["label"]] += 1
        summary.uncertain += len(row["prediction_set"] or ()) > 1
        summary.histogram[min(int(row["probability"] * BINS), BINS - 1)] += 1
        for note in row["notes"]:
            kind = _kind(note, row["path"])
            summary.notes[kind] += 1
            summary.by_note.setdefault(kind, Counter())[row["label"]] += 1


def _kind(reason: str, path: str) -> str:
    """A reason without what differs from input to input, so that equal ones count together."""
    return re.sub(r"\d+(\.\d+)?", "#", reason.removeprefix(f"{path}: "))


def _find_duplicates(summary: Summary, folder: Path) -> None:
    once: set[bytes] = set()
    twice: set[bytes] = set()
    for table in _tables(folder):
        for digest in table["sha256"].to_pylist():
            if digest is not None:
                key = bytes.fromhex(digest)[:8]
                (twice if key in once else once).add(key)
    summary.duplicate_groups = len(twice)
    groups: dict[str, list[str]] = {}
    for table in _tables(folder) if twice else ():
        for digest, path in zip(table["sha256"].to_pylist(), table["path"].to_pylist(), strict=True):
            if digest is None or bytes.fromhex(digest)[:8] not in twice:
                continue
            if digest in groups or len(groups) < LISTED:
                groups.setdefault(digest, []).append(path)
    summary.duplicates = list(groups.values())


def write_summary(folder: Path) -> Summary:
    """Summarise a job into ``summary.json`` and ``summary.html`` in its folder."""
    summary = summarise(folder)
    page = render("pneumoscope.archive", "summary.html.j2", s=summary, research_use_only=RESEARCH_USE_ONLY)
    text = json.dumps(summary.as_dict(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / "summary.json", text.encode("utf-8", "backslashreplace"))
    write_atomically(folder / "summary.html", page.encode("utf-8", "backslashreplace"))
    return summary
