"""A process that judges: takes a received image, keeps its results on disk, and says so in the queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from pneumoscope.errors import GatewayError, InputError
from pneumoscope.model.classifier import Model
from pneumoscope.pacs.audit import AuditTrail, Event, Outcome
from pneumoscope.pacs.finding import Presence
from pneumoscope.pacs.jobs import Job, Outgoing, State
from pneumoscope.pacs.objects import Result, make_objects
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Settings
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.steps import Step, reached

LEASE_SECONDS = 300.0


class Judge:
    """Judges the images of a queue, one at a time.

    Args:
        settings: of the gateway.
        model: that judges.
        queue: of the calling thread.
        spool: where images and results are.
        audit: trail.
    """

    def __init__(self, settings: Settings, model: Model, queue: Queue, spool: Spool, audit: AuditTrail) -> None:
        self._settings, self._model = settings, model
        self._queue, self._spool, self._audit = queue, spool, audit
        self._held: Job | None = None

    def run(self, stopping: Callable[[], bool], *, pause: float = 0.1) -> None:
        """Judge until told to stop."""
        while not stopping():
            try:
                busy = self.step()
            except (GatewayError, OSError) as error:
                # A full disk or a queue that cannot be written: the job's lease runs out and it comes back.
                self._audit.write(Event.APPLICATION_ACTIVITY, "judging waits", Outcome.SERIOUS_FAILURE, why=str(error))
                busy, pause_now = False, 5.0
            else:
                pause_now = pause
            if not busy:
                time.sleep(pause_now)

    def step(self) -> bool:
        """Judge one image. Returns whether there was one."""
        if self._held is not None:
            # A disk that was full took no note either; without this the image would wait for the end of its lease.
            self._queue.postpone(self._held, 0.0, None, counts=False)
            self._held = None
        for job in self._queue.claim(State.RECEIVED, lease_seconds=LEASE_SECONDS):
            try:
                self._judge(job)
            except (GatewayError, OSError):
                self._held = job
                raise
            return True
        return False

    def _judge(self, job: Job) -> None:
        if job.attempts >= self._settings.judging.attempts:
            self._give_up(job, job.failure or "judging it failed each time")
            return
        reached(Step.JUDGING)
        try:
            content = self._spool.path(job.arrival.file).read_bytes()
        except FileNotFoundError:
            self._give_up(job, "its file is not in the spool")
            return
        try:
            result = self._make(job, content)
        except InputError as error:
            self._keep_refusal(job, (str(error).removeprefix("image: "),))
        except (GatewayError, OSError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - one image must not stop the others, whatever a library raises on it
            self._queue.postpone(job, self._settings.retry.delay(job.attempts + 1), _in_words(error))
        else:
            self._keep(job, result)

    def _make(self, job: Job, content: bytes) -> Result:
        return make_objects(
            content,
            self._model,
            made=datetime.fromtimestamp(int(job.received)),
            guards=self._settings.population,
            operating_point=self._settings.judging.operating_point,
            report_refusals=self._settings.judging.report_refusals,
            name="image",
        )

    def _keep(self, job: Job, result: Result) -> None:
        objects = [
            Outgoing(
                each.sop_instance_uid, each.sop_class_uid, self._spool.keep_result(each.sop_instance_uid, each.content)
            )
            for each in result.objects
        ]
        reached(Step.RESULTS_ON_DISK)
        finding = result.finding
        kept = self._queue.finish_judging(
            job, presence=finding.presence, certainty=finding.certainty, reasons=result.reasons, objects=objects
        )
        if kept:
            self._tell(job, "not judged" if result.reasons else "judged", reasons=list(result.reasons) or None)
        reached(Step.JUDGED)

    def _keep_refusal(self, job: Job, reasons: tuple[str, ...]) -> None:
        self._queue.finish_judging(job, presence=Presence.NOT_EVALUATED, certainty=None, reasons=reasons, objects=())
        self._tell(job, "not judged", reasons=list(reasons))

    def _give_up(self, job: Job, failure: str) -> None:
        self._queue.finish(job, State.DEAD, failure=failure)
        self._tell(job, "given up", Outcome.SERIOUS_FAILURE, why=failure)

    def _tell(self, job: Job, action: str, outcome: Outcome = Outcome.SUCCESS, **details: object) -> None:
        # What the model found is the patient's; that it was asked is the trail's.
        self._audit.write(
            Event.INSTANCES_ACCESSED,
            action,
            outcome,
            instance=job.arrival.sop_uid,
            study=job.arrival.study_uid,
            **details,
        )


def _in_words(error: BaseException) -> str:
    """The type of an error, and its text where it is ours; those of libraries may quote a header."""
    return str(error) if isinstance(error, (GatewayError, OSError)) else f"unexpected {type(error).__name__}"
