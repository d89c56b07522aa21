"""The columns of results, timings and heatmaps, and the bytes of one shard's tables.

The same records give the same bytes: no times, no host, no order of arrival is in the results.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pneumoscope.archive.items import Item
from pneumoscope.archive.job import SCHEMA_VERSION
from pneumoscope.model.prediction import Prediction

_METADATA = {b"pneumoscope.schema_version": str(SCHEMA_VERSION).encode()}

RESULTS = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("status", pa.string()),
        ("label", pa.string()),
        ("probability", pa.float64()),
        ("threshold", pa.float64()),
        ("operating_point", pa.string()),
        ("p_normal", pa.float64()),
        ("p_bacterial", pa.float64()),
        ("p_viral", pa.float64()),
        ("typicality", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
        ("prediction_set", pa.list_(pa.string())),
        ("lungs_left", pa.float64()),
        ("lungs_top", pa.float64()),
        ("lungs_right", pa.float64()),
        ("lungs_bottom", pa.float64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("modified", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("model_sha256", pa.string()),
    ],
    metadata=_METADATA,
)
"""The record of ``predict --json``, flat, with the file's size and stamp, the picture's size and the model."""

TIMINGS = pa.schema([("path", pa.string()), ("read", pa.float64()), ("judge", pa.float64())], metadata=_METADATA)
"""Seconds to fetch the bytes, and to decode and judge them."""

HEATMAPS = pa.schema(
    [("path", pa.string()), ("height", pa.int32()), ("width", pa.int32()), ("values", pa.list_(pa.float32()))],
    metadata=_METADATA,
)
"""Heatmaps 0 to 1, row by row; only of judged inputs."""


@dataclass(frozen=True, eq=False)
class Scored:
    """One input and what came of it.

    Attributes:
        item: as it was when it was read.
        prediction: the record.
        size: bytes read; ``None`` where they could not be.
        format: of the file, by its content; ``None`` where it could not be read.
        width: of the picture, pixels.
        height: of the picture, pixels.
        read_seconds: to fetch the bytes.
        judge_seconds: to decode and judge.
    """

    item: Item
    prediction: Prediction
    size: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    read_seconds: float = 0.0
    judge_seconds: float = 0.0


@dataclass(frozen=True)
class ShardTables:
    """The Parquet files of one shard as bytes, ready to be committed by whoever owns the output folder.

    Attributes:
        results: see :data:`RESULTS`.
        timings: see :data:`TIMINGS`.
        heatmaps: see :data:`HEATMAPS`, or ``None``.
        counts: inputs by status.
    """

    results: bytes
    timings: bytes
    heatmaps: bytes | None
    counts: dict[str, int]


def as_tables(scored: Sequence[Scored], *, heatmaps: bool) -> ShardTables:
    """Turn a shard's records, in the order of its plan, into tables."""
    counts: dict[str, int] = {}
    for each in scored:
        counts[each.prediction.status.value] = counts.get(each.prediction.status.value, 0) + 1
    timings = [
        {"path": printable(each.item.name), "read": each.read_seconds, "judge": each.judge_seconds} for each in scored
    ]
    drawn = [_heatmap_row(each) for each in scored if each.prediction.heatmap is not None]
    return ShardTables(
        _parquet([_row(each) for each in scored], RESULTS),
        _parquet(timings, TIMINGS),
        _parquet(drawn, HEATMAPS) if heatmaps else None,
        counts,
    )


def printable(name: str) -> str:
    """A name as UTF-8 text; bytes that are none are escaped, as in the JSON records."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _row(scored: Scored) -> dict[str, Any]:
    record = scored.prediction.as_dict()
    subtype = record["subtype"] or {}
    box = (record["lungs"] or {}).get("box") or [None] * 4
    return {
        **{name: record[name] for name in ("sha256", "status", "label", "probability", "threshold", "operating_point")},
        "path": printable(record["path"]),
        "p_normal": subtype.get("NORMAL"),
        "p_bacterial": subtype.get("BACTERIAL"),
        "p_viral": subtype.get("VIRAL"),
        "typicality": record["typicality"],
        "reasons": [printable(reason) for reason in record["reasons"]],
        "notes": [printable(note) for note in record["notes"]],
        "prediction_set": record["prediction_set"],
        "lungs_left": box[0],
        "lungs_top": box[1],
        "lungs_right": box[2],
        "lungs_bottom": box[3],
        "format": scored.format,
        "width": scored.width,
        "height": scored.height,
        "bytes": scored.size,
        "modified": scored.item.modified,
        "model_name": record["model"]["name"],
        "model_version": record["model"]["version"],
        "model_sha256": record["model"]["sha256"],
    }


def _heatmap_row(scored: Scored) -> dict[str, Any]:
    heatmap = scored.prediction.heatmap
    assert heatmap is not None
    height, width = heatmap.shape
    values = np.asarray(heatmap, np.float32).ravel()
    return {"path": printable(scored.item.name), "height": height, "width": width, "values": values}


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()
