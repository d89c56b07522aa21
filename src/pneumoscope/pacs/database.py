"""The queue's SQLite file: its tables, and transactions that are on disk when they end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pneumoscope.errors import GatewayError
from pneumoscope.pacs import clock

BUSY_SECONDS: Final = 60.0
SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,
    sop_uid TEXT NOT NULL UNIQUE,
    content_sha256 TEXT NOT NULL,
    study_uid TEXT NOT NULL,
    accession TEXT NOT NULL,
    source TEXT NOT NULL,
    file TEXT,
    state TEXT NOT NULL,
    received REAL NOT NULL,
    changed REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    owner TEXT,
    presence TEXT,
    certainty REAL,
    reasons TEXT NOT NULL DEFAULT '[]',
    failure TEXT,
    losses INTEGER NOT NULL DEFAULT 0,
    transaction_uid TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (state, due, id);
CREATE INDEX IF NOT EXISTS jobs_by_change ON jobs (changed);
CREATE INDEX IF NOT EXISTS jobs_by_transaction ON jobs (transaction_uid) WHERE transaction_uid IS NOT NULL;
CREATE TABLE IF NOT EXISTS objects (
    sop_uid TEXT PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (id),
    sop_class TEXT NOT NULL,
    file TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_job ON objects (job);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""

KEEP_NOTE: Final = "INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"

Run = Callable[..., sqlite3.Cursor]
"""Executes a statement within a transaction."""


class Database:
    """One connection to the file, for one thread at a time; each thread and process opens its own.

    Args:
        file: the database; made where it is missing.

    Raises:
        GatewayError: it cannot be opened, or is of a newer Pneumoscope.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._connection = sqlite3.connect(
                file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.row_factory = sqlite3.Row
            self._inode = file.stat().st_ino
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise GatewayError(f"queue {file}: cannot be opened ({error})") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def read(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Rows of a question.

        Raises:
            GatewayError: the file cannot be read.
        """
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise GatewayError(f"queue {self._file}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """All or nothing, and on disk afterwards.

        Raises:
            GatewayError: the disk is full, or the file was moved away: rows would go where nobody looks.
        """
        try:
            if self._file.stat().st_ino != self._inode:
                raise GatewayError(f"queue {self._file}: another file lies in its place; start the gateway anew")
        except OSError as error:
            raise GatewayError(f"queue {self._file}: gone ({error.strerror}); start the gateway anew") from error
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise GatewayError(f"queue {self._file}: {error}") from error

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise GatewayError(f"queue {self._file}: written by a newer Pneumoscope; install that one")
        if version == SCHEMA_VERSION and self._boot() == clock.boot():
            return
        with self.transaction() as run:
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    run(statement)
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            if self._boot() != clock.boot():
                run("UPDATE jobs SET due = 0, owner = NULL WHERE due > 0")
                run(KEEP_NOTE, ("boot", clock.boot()))

    def _boot(self) -> str | None:
        """The start of the machine that the times in the file count from."""
        row = self._connection.execute("SELECT value FROM notes WHERE name = 'boot'").fetchone()
        return None if row is None else str(row["value"])
