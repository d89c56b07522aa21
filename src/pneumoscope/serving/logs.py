"""Structured logs: one JSON object a line, without images, file names, DICOM identity, paths, queries or addresses."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Final

from flask import g

from pneumoscope.model.prediction import Prediction
from pneumoscope.model.wording import SCORED_EVENT, kind_of

LOGGER: Final = logging.getLogger("pneumoscope.serving")
_FIELDS: Final = "fields"


class JsonFormatter(logging.Formatter):
    """One JSON object a record. Exception messages are left out: they may quote what a client sent."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, event and the fields given with ``extra``."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if record.name == LOGGER.name else str(record.msg),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry |= describe(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False)


def configure() -> None:
    """Send the logs of this server, and warnings of the one below it, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in ((LOGGER.name, logging.INFO), ("waitress", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Log an event with plain values beside it."""
    LOGGER.log(level, event, extra={_FIELDS: fields})


def log_score(prediction: Prediction) -> None:
    """Log what an image got, for ``pneumoscope monitor``: no name, no hash, no request, no number of its header."""
    record = prediction.as_dict()
    kept = ("status", "probability", "typicality", "prediction_set", "lungs", "model")
    kinds = {
        key: sorted({kind_of(sentence, prediction.path) for sentence in record[key]}) for key in ("notes", "reasons")
    }
    LOGGER.info(SCORED_EVENT, extra={_FIELDS: {key: record[key] for key in kept} | kinds})


def log_failure(error: BaseException) -> None:
    """Log an unexpected exception: its type and where it was raised, not what it says."""
    log("unexpected error", logging.ERROR, request_id=g.get("request_id"), **describe(error))


def describe(error: BaseException) -> dict[str, object]:
    """The type of an exception and the places it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"exception": type(error).__name__, "at": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}


def milliseconds_since(start: float) -> float:
    """Milliseconds from a ``time.perf_counter()`` value to now."""
    return round(1e3 * (time.perf_counter() - start), 1)
