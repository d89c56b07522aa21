"""The queue: which image is where on its way, in an SQLite file that outlives every process.

Each image is one job::

    received ── judged ── sent ── committed
        │          └────────┴──── dead        given up; `pacs retry` puts it back
        └── refused                           not judged, with its reasons, and nothing to send

A transaction is on disk before its call returns (write-ahead log, ``synchronous=FULL``). A worker claims a job by
moving its ``due`` time past the end of a lease: whoever dies leaves a job that falls due again. A worker that comes
back after its lease ran out finds another owner, and its result is dropped. ``due`` counts from the machine's start, so
no clock that is set back or forth stalls or hurries a job; after a restart of the machine everything is due.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pneumoscope.pacs import clock, processes
from pneumoscope.pacs.database import KEEP_NOTE, Database, Run
from pneumoscope.pacs.jobs import DONE_STATES, OPEN_STATES, Added, Arrival, Job, Outgoing, State, job_from_row


class Queue:
    """The queue of one spool, for one thread at a time; each thread and process opens its own.

    Args:
        file: the database; made where it is missing.

    Raises:
        GatewayError: it cannot be opened, or is of a newer Pneumoscope.
    """

    def __init__(self, file: Path) -> None:
        self._database = Database(file)
        self._owner = f"{processes.name(os.getpid())}:{uuid.uuid4().hex[:8]}"

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, arrivals: Sequence[Arrival], note: tuple[str, str] | None = None) -> list[Added]:
        """Take images into the queue; on disk when this returns.

        Args:
            arrivals: whose files are on disk.
            note: name and value kept in the same transaction, such as how far a watched server was read.

        Returns:
            What became of each, in order.
        """
        with self._database.transaction() as run:
            added = [self._add(run, arrival) for arrival in arrivals]
            if note is not None:
                run(KEEP_NOTE, note)
            return added

    def note(self, name: str) -> str | None:
        """A value kept by :meth:`add`."""
        row = self._database.read("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def files(self) -> set[str]:
        """Names of all images that rows name."""
        return {row["file"] for row in self._database.read("SELECT file FROM jobs WHERE file IS NOT NULL")}

    def holds(self, arrival: Arrival) -> bool:
        """Whether the row of an image's UID names the image's file."""
        rows = self._database.read("SELECT file FROM jobs WHERE sop_uid = ?", (arrival.sop_uid,))
        row = rows.fetchone()
        return row is not None and row["file"] == arrival.file

    def is_result(self, sop_uid: str) -> bool:
        """Whether an object of that UID was made here."""
        return self._database.read("SELECT 1 FROM objects WHERE sop_uid = ?", (sop_uid,)).fetchone() is not None

    def known(self, sop_uid: str) -> bool:
        """Whether an image of that UID was ever taken on."""
        return self._database.read("SELECT 1 FROM jobs WHERE sop_uid = ?", (sop_uid,)).fetchone() is not None

    def claim(self, state: State, *, lease_seconds: float, limit: int = 1) -> list[Job]:
        """Take jobs of a state that are due, the longest due first, for as long as a lease.

        A job that still has an owner is one whose lease ran out: that counts as a failure of its own.
        """
        now = clock.now()
        with self._database.transaction() as run:
            rows = run(
                "UPDATE jobs SET due = ?, attempts = attempts + (owner IS NOT NULL), owner = ? WHERE id IN ("
                "SELECT id FROM jobs WHERE state = ? AND due <= ? ORDER BY due, id LIMIT ?) RETURNING *",
                (now + lease_seconds, self._owner, state, now, limit),
            ).fetchall()
        return sorted((job_from_row(row) for row in rows), key=lambda job: job.id)

    def finish_judging(
        self,
        job: Job,
        *,
        presence: str,
        certainty: float | None,
        reasons: Sequence[str],
        objects: Sequence[Outgoing],
    ) -> bool:
        """Keep what the model said; with objects the job is judged, without it is refused.

        Returns:
            False where the lease ran out and another worker has the job: nothing was kept.
        """
        state = State.JUDGED if objects else State.REFUSED
        with self._database.transaction() as run:
            if not self._move(
                run,
                job,
                state,
                "presence = ?, certainty = ?, reasons = ?",
                (presence, certainty, json.dumps(list(reasons), ensure_ascii=False)),
            ):
                return False
            for each in objects:
                run(
                    "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?)",
                    (each.sop_uid, job.id, each.sop_class, each.file),
                )
        return True

    def finish(self, job: Job, state: State, *, transaction_uid: str | None = None, failure: str | None = None) -> bool:
        """Move a claimed job on.

        Args:
            job: as it was claimed.
            state: where it goes.
            transaction_uid: of the storage commitment that it waits for.
            failure: why, where it goes to the dead.

        Returns:
            False where the lease ran out and another worker has the job.
        """
        with self._database.transaction() as run:
            return self._move(run, job, state, "transaction_uid = ?, failure = ?", (transaction_uid, failure))

    def postpone(self, job: Job, seconds: float, failure: str | None, *, counts: bool = True) -> bool:
        """Give a claimed job back, to be due again later.

        Args:
            job: as it was claimed.
            seconds: until it is due.
            failure: in words; ``None`` keeps the last one.
            counts: whether this was the job's own failure; an archive that is away is not.
        """
        with self._database.transaction() as run:
            done = run(
                "UPDATE jobs SET due = ?, owner = NULL, failure = coalesce(?, failure), attempts = attempts + ? "
                "WHERE id = ? AND owner = ?",
                (clock.now() + seconds, failure, int(counts), job.id, job.owner),
            )
            return bool(done.rowcount)

    def await_commitment(self, job: Job, transaction_uid: str, seconds: float) -> bool:
        """Note a commitment's transaction before it is asked for; the answer may come before the question returns."""
        with self._database.transaction() as run:
            done = run(
                "UPDATE jobs SET transaction_uid = ?, due = ? WHERE id = ? AND owner = ?",
                (transaction_uid, clock.now() + seconds, job.id, job.owner),
            )
            return bool(done.rowcount)

    def committed(
        self, transaction_uid: str, kept: Sequence[str], lost: Sequence[str], delay: Callable[[int], float]
    ) -> list[tuple[int, State]]:
        """Take the archive's answer to a storage commitment.

        A job whose objects are all kept is committed; one with an object that the archive does not have goes back to be
        sent again. An answer to a transaction that nobody waits for changes nothing.

        Args:
            transaction_uid: that was asked about.
            kept: SOP Instance UIDs that the archive keeps.
            lost: those that it does not have.
            delay: seconds to wait after so many losses.

        Returns:
            Rows that changed, with their new states.
        """
        changed = []
        with self._database.transaction() as run:
            waiting = run(
                "SELECT * FROM jobs WHERE transaction_uid = ? AND state = 'sent'", (transaction_uid,)
            ).fetchall()
            for row in waiting:
                uids = {each["sop_uid"] for each in run("SELECT sop_uid FROM objects WHERE job = ?", (row["id"],))}
                if uids & set(lost):
                    self._answered(run, row["id"], State.JUDGED, clock.now() + delay(row["losses"] + 1), 1)
                    changed.append((int(row["id"]), State.JUDGED))
                elif uids <= set(kept):
                    self._answered(run, row["id"], State.COMMITTED, 0, 0)
                    changed.append((int(row["id"]), State.COMMITTED))
        return changed

    def objects(self, job_id: int) -> list[Outgoing]:
        """Results of a job, in the order they were made."""
        rows = self._database.read("SELECT * FROM objects WHERE job = ? ORDER BY rowid", (job_id,))
        return [Outgoing(row["sop_uid"], row["sop_class"], row["file"]) for row in rows]

    def retry_dead(self) -> int:
        """Put back what was given up: to be judged, or to be sent where it was judged. Returns how many."""
        with self._database.transaction() as run:
            return run(
                "UPDATE jobs SET state = CASE WHEN EXISTS (SELECT 1 FROM objects WHERE job = jobs.id) "
                "THEN 'judged' ELSE 'received' END, attempts = 0, losses = 0, due = 0, owner = NULL, changed = ? "
                "WHERE state = ?",
                (time.time(), State.DEAD),
            ).rowcount

    def make_due(self) -> int:
        """Make every waiting job due now. Returns how many waited."""
        with self._database.transaction() as run:
            marks = ", ".join("?" * len(OPEN_STATES))
            return run(f"UPDATE jobs SET due = 0 WHERE owner IS NULL AND state IN ({marks})", OPEN_STATES).rowcount  # noqa: S608

    def release(self, process: int, failure: str) -> int:
        """End the leases of a worker that died while the gateway lived: that may be its job's fault, and counts.

        Returns how many.
        """
        with self._database.transaction() as run:
            return run(
                "UPDATE jobs SET due = ?, attempts = attempts + 1, failure = ?, owner = NULL WHERE owner LIKE ?",
                (clock.now(), failure, f"{process}:%"),
            ).rowcount

    def release_dead_owners(self) -> int:
        """End the leases of processes that are no more, and died with all the others: no job's fault.

        Returns how many. Their jobs fall due behind those that nobody tried yet.
        """
        with self._database.transaction() as run:
            owners = {row["owner"] for row in run("SELECT DISTINCT owner FROM jobs WHERE owner IS NOT NULL")}
            gone = [owner for owner in owners if not processes.is_alive(owner.rsplit(":", 1)[0])]
            for owner in gone:
                run("UPDATE jobs SET due = ?, owner = NULL WHERE owner = ?", (clock.now(), owner))
            return len(gone)

    def counts(self) -> dict[State, int]:
        """Jobs by state."""
        found = {
            row["state"]: row["n"]
            for row in self._database.read("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        }
        return {state: found.get(state, 0) for state in State}

    def oldest(self, state: State) -> float | None:
        """When the oldest job of a state was received, seconds since 1970."""
        row = self._database.read(
            "SELECT received FROM jobs WHERE state = ? ORDER BY due, id LIMIT 1", (state,)
        ).fetchone()
        return None if row is None else float(row["received"])

    def recent(self, limit: int = 20) -> list[Job]:
        """The jobs that changed last, newest first."""
        return [
            job_from_row(row)
            for row in self._database.read("SELECT * FROM jobs ORDER BY changed DESC LIMIT ?", (limit,))
        ]

    def reasons(self, limit: int = 30) -> dict[str, int]:
        """How many images were not judged, by their first reason up to a semicolon or bracket, most frequent first."""
        found: Counter[str] = Counter()
        rows = self._database.read(
            "SELECT json_extract(reasons, '$[0]') AS reason, count(*) AS n FROM jobs "
            "WHERE reasons != '[]' GROUP BY reason LIMIT 10000"
        )
        for row in rows:
            found[re.split(r"[;(]", row["reason"])[0].strip()[:60]] += row["n"]
        return dict(found.most_common(limit))

    def dead(self, limit: int = 100) -> list[Job]:
        """Jobs that were given up."""
        return [
            job_from_row(row)
            for row in self._database.read("SELECT * FROM jobs WHERE state = ? LIMIT ?", (State.DEAD, limit))
        ]

    def purge(
        self, before: float, remove: Callable[[str], None], *, states: Sequence[State] = DONE_STATES, limit: int = 1000
    ) -> int:
        """Delete the files of jobs that are done; their rows stay, so that nothing is judged twice.

        Args:
            before: seconds since 1970; jobs that changed later keep their files.
            remove: deletes one file by its name below the spool.
            states: of jobs that are done.
            limit: jobs at most.

        Returns:
            How many jobs' files were deleted.
        """
        marks = ", ".join("?" * len(states))
        rows = self._database.read(
            f"SELECT id, file FROM jobs WHERE state IN ({marks}) AND changed <= ? AND file IS NOT NULL LIMIT ?",  # noqa: S608
            (*states, before, limit),
        ).fetchall()
        for row in rows:
            for name in [row["file"], *(each.file for each in self.objects(row["id"]))]:
                if name:
                    remove(name)
        with self._database.transaction() as run:
            for row in rows:
                run("UPDATE jobs SET file = NULL WHERE id = ?", (row["id"],))
                run("UPDATE objects SET file = NULL WHERE job = ?", (row["id"],))
        return len(rows)

    @staticmethod
    def _add(run: Run, arrival: Arrival) -> Added:
        row = run("SELECT content_sha256 FROM jobs WHERE sop_uid = ?", (arrival.sop_uid,)).fetchone()
        if row is not None:
            return Added.DUPLICATE if row["content_sha256"] == arrival.content_sha256 else Added.CONFLICT
        now = time.time()
        run(
            "INSERT INTO jobs (sop_uid, content_sha256, study_uid, accession, source, file, state, received, changed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(arrival.sop_uid, arrival.content_sha256, arrival.study_uid, arrival.accession, arrival.source),
                *(arrival.file, State.RECEIVED, now, now),
            ),
        )
        return Added.NEW

    def _move(self, run: Run, job: Job, state: State, assignments: str, values: tuple[Any, ...]) -> bool:
        done = run(
            f"UPDATE jobs SET state = ?, changed = ?, attempts = 0, due = 0, owner = NULL, {assignments} "  # noqa: S608
            "WHERE id = ? AND owner = ?",
            (state, time.time(), *values, job.id, job.owner),
        )
        return bool(done.rowcount)

    @staticmethod
    def _answered(run: Run, job_id: int, state: State, due: float, losses: int) -> None:
        failure = "the archive does not have what it took" if losses else None
        run(
            "UPDATE jobs SET state = ?, changed = ?, due = ?, attempts = 0, owner = NULL, transaction_uid = NULL, "
            "losses = losses + ?, failure = ? WHERE id = ?",
            (state, time.time(), due, losses, failure, job_id),
        )
