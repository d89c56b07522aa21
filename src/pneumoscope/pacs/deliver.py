"""A process that delivers: sends results, asks the archive whether it keeps them, and tries again until it does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from pneumoscope.errors import GatewayError
from pneumoscope.pacs.audit import AuditTrail, Event, Outcome
from pneumoscope.pacs.connections import Connection, RefusedByArchiveError, connect
from pneumoscope.pacs.jobs import Job, State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Settings
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.steps import Step, reached

LEASE_SECONDS: Final = 120.0
BATCH: Final = 16
"""Jobs in one association; and objects of as many in one commitment."""


class Sender:
    """Delivers the results of a queue.

    An archive that cannot be reached is tried for ever, with growing pauses, by the next job in turn: no job spends its
    own attempts on that.

    Args:
        settings: of the gateway.
        queue: of the calling thread.
        spool: where results are.
        audit: trail.
        open_connection: to the archive.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        spool: Spool,
        audit: AuditTrail,
        open_connection: Callable[..., Connection] = connect,
    ) -> None:
        self._settings, self._queue, self._spool, self._audit = settings, queue, spool, audit
        self._connect = open_connection
        self._failures = 0
        self._held: list[Job] = []

    def run(self, stopping: Callable[[], bool], *, pause: float = 0.1) -> None:
        """Deliver until told to stop."""
        while not stopping():
            try:
                busy = self.step()
                self._failures = 0 if busy else self._failures
                wait = 0.0 if busy else pause
            except (GatewayError, OSError) as error:
                self._failures += 1
                wait = self._settings.retry.delay(self._failures)
                self._audit.write(
                    Event.APPLICATION_ACTIVITY, "delivery waits", Outcome.MINOR_FAILURE, why=str(error), seconds=wait
                )
            end = time.monotonic() + wait
            while time.monotonic() < end and not stopping():
                time.sleep(min(0.2, wait))

    def step(self) -> bool:
        """Send what is due, and ask about what was sent. Returns whether there was anything.

        Raises:
            GatewayError: the archive cannot be reached; what was not sent stays queued.
        """
        while self._held:
            # What a full disk kept from being noted would wait for the end of its lease; who has no lease is unmoved.
            self._queue.postpone(self._held[-1], 0.0, None, counts=False)
            self._held.pop()
        jobs = self._queue.claim(State.JUDGED, lease_seconds=LEASE_SECONDS, limit=BATCH)
        sent = [] if jobs else self._claim_sent()
        if not jobs and not sent:
            return False
        self._held = [*jobs, *sent]
        try:
            connection = self._connect(self._settings.archive, self._settings.receive)
        except GatewayError as error:
            self._give_back([*jobs, *sent], error)
            raise
        try:
            self._send_all(jobs, connection)
            self._ask(sent or self._claim_sent(), connection)
        finally:
            connection.close()
        self._held = []
        return True

    def _claim_sent(self) -> list[Job]:
        if not self._settings.archive.commitment:
            return []
        return self._queue.claim(State.SENT, lease_seconds=LEASE_SECONDS, limit=BATCH)

    def _give_back(self, jobs: Sequence[Job], error: GatewayError) -> None:
        for job in jobs:
            self._queue.postpone(job, 0.0, str(error), counts=False)

    def _send_all(self, jobs: Sequence[Job], connection: Connection) -> None:
        for position, job in enumerate(jobs):
            try:
                self._send(job, connection)
            except GatewayError as error:
                self._give_back(jobs[position:], error)
                raise

    def _send(self, job: Job, connection: Connection) -> None:
        if job.losses >= self._settings.retry.refusals:
            self._give_up(job, f"{job.failure}, {job.losses} times")
            return
        for number, each in enumerate(self._queue.objects(job.id)):
            if each.file is None or not self._spool.path(each.file).is_file():
                self._give_up(job, "a result's file is not in the spool")
                return
            try:
                connection.send(each, self._spool.path(each.file))
            except RefusedByArchiveError as error:
                if job.attempts + 1 >= self._settings.retry.refusals:
                    self._give_up(job, str(error))
                else:
                    self._queue.postpone(job, self._settings.retry.delay(job.attempts + 1), str(error))
                return
            if number == 0:
                reached(Step.FIRST_OBJECT_SENT)
        reached(Step.ALL_OBJECTS_SENT)
        self._queue.finish(job, State.SENT)
        self._tell(job, "sent")
        reached(Step.SENT)

    def _ask(self, jobs: Sequence[Job], connection: Connection) -> None:
        """Ask the archive about what was sent and not confirmed yet, all in one transaction."""
        transaction = f"2.25.{uuid.uuid4().int}"
        patience = self._settings.retry.commitment_seconds
        jobs = [job for job in jobs if self._queue.await_commitment(job, transaction, patience)]
        if not jobs:
            return
        results = [(each, job.arrival.study_uid) for job in jobs for each in self._queue.objects(job.id)]
        reached(Step.COMMITMENT_ASKED)
        answer = connection.ask(transaction, [each for each, _ in results], [study for _, study in results])
        if answer is None:
            return
        if answer.lost and time.time() - min(job.changed for job in jobs) < patience:
            # Found by searching, and an archive may take a while to index what it stored.
            for job in jobs:
                self._queue.postpone(job, min(self._settings.retry.first_seconds, patience), None, counts=False)
            take_answer(self._queue, self._audit, self._settings, transaction, answer.kept, ())
            return
        take_answer(self._queue, self._audit, self._settings, transaction, answer.kept, answer.lost)

    def _give_up(self, job: Job, failure: str) -> None:
        self._queue.finish(job, State.DEAD, failure=failure)
        self._tell(job, "given up", Outcome.SERIOUS_FAILURE, why=failure)

    def _tell(self, job: Job, action: str, outcome: Outcome = Outcome.SUCCESS, **details: object) -> None:
        self._audit.write(
            Event.INSTANCES_TRANSFERRED,
            action,
            outcome,
            instance=job.arrival.sop_uid,
            study=job.arrival.study_uid,
            **details,
        )


def take_answer(
    queue: Queue,
    audit: AuditTrail,
    settings: Settings,
    transaction_uid: str,
    kept: Sequence[str],
    lost: Sequence[str],
) -> None:
    """Take the archive's answer to a storage commitment into the queue."""
    reached(Step.COMMITMENT_ANSWERED)
    changed = queue.committed(transaction_uid, kept, lost, settings.retry.delay)
    for job_id, state in changed:
        action, outcome = "committed", Outcome.SUCCESS
        if state is not State.COMMITTED:
            action, outcome = "lost by the archive, to be sent again", Outcome.SERIOUS_FAILURE
        audit.write(Event.INSTANCES_TRANSFERRED, action, outcome, job=job_id)
    reached(Step.COMMITTED)
