"""What the queue holds: images on their way, and the objects made of them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a job is."""

    RECEIVED = "received"
    JUDGED = "judged"
    SENT = "sent"
    COMMITTED = "committed"
    REFUSED = "refused"
    DEAD = "dead"


OPEN_STATES: Final = (State.RECEIVED, State.JUDGED, State.SENT)
DONE_STATES: Final = (State.COMMITTED, State.REFUSED)


class Added(StrEnum):
    """What became of an image that came in."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """The same UID and content: nothing to do."""
    CONFLICT = "conflict"
    """The same UID with other content: the first one counts."""


@dataclass(frozen=True)
class Arrival:
    """An image that is on disk and not in the queue yet.

    Attributes:
        sop_uid: SOP Instance UID.
        content_sha256: of its data set, 64 hex digits.
        study_uid: Study Instance UID.
        accession: accession number; may be empty.
        source: calling AE title, or the URL that it was fetched from.
        file: name below the spool.
    """

    sop_uid: str
    content_sha256: str
    study_uid: str
    accession: str
    source: str
    file: str


@dataclass(frozen=True)
class Outgoing:
    """A result object on disk.

    Attributes:
        sop_uid: SOP Instance UID.
        sop_class: SOP Class UID.
        file: name below the spool; ``None`` once it is purged.
    """

    sop_uid: str
    sop_class: str
    file: str | None


@dataclass(frozen=True)
class Job:
    """A row of the queue.

    Attributes:
        id: of the row.
        arrival: the image.
        state: where it is.
        received: seconds since 1970, by the clock as it stood.
        changed: when the state last changed, likewise.
        attempts: failures of its own since then: not those of an archive that is away, nor of a power cut.
        presence: the finding; ``None`` before it is judged.
        certainty: in percent; ``None`` where nothing was evaluated.
        reasons: why it was not evaluated.
        failure: the last failure in words.
        transaction_uid: of the storage commitment that is waited for.
        losses: how often the archive did not have what it had taken.
        owner: who holds the lease.
    """

    id: int
    arrival: Arrival
    state: State
    received: float
    changed: float
    attempts: int
    presence: str | None
    certainty: float | None
    reasons: tuple[str, ...]
    failure: str | None
    transaction_uid: str | None
    losses: int
    owner: str | None


def job_from_row(row: sqlite3.Row) -> Job:
    """A job from a row of the table; an image whose file was purged has an empty name."""
    arrival = Arrival(
        sop_uid=row["sop_uid"],
        content_sha256=row["content_sha256"],
        study_uid=row["study_uid"],
        accession=row["accession"],
        source=row["source"],
        file=row["file"] or "",
    )
    return Job(
        id=row["id"],
        arrival=arrival,
        state=State(row["state"]),
        received=row["received"],
        changed=row["changed"],
        attempts=row["attempts"],
        presence=row["presence"],
        certainty=row["certainty"],
        reasons=tuple(json.loads(row["reasons"])),
        failure=row["failure"],
        transaction_uid=row["transaction_uid"],
        losses=row["losses"],
        owner=row["owner"],
    )
