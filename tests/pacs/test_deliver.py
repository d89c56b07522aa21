"""Delivery: an archive that is away, refuses, forgets or answers late; nothing is given up that might still arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pneumoscope.errors import GatewayError
from pneumoscope.pacs import clock
from pneumoscope.pacs.audit import AuditTrail
from pneumoscope.pacs.connections import Answer, RefusedByArchiveError
from pneumoscope.pacs.deliver import Sender
from pneumoscope.pacs.jobs import Arrival, Outgoing, State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Archive, Retry, Settings
from pneumoscope.pacs.spool import Spool


class FakeArchive:
    """An archive that does what a test wants of it."""

    def __init__(self) -> None:
        self.away = self.forgets = self.silent = False
        self.refuses: set[str] = set()
        self.breaks_after: int | None = None
        self.objects: list[str] = []
        self.opened = 0

    def connect(self, *_: object) -> FakeArchive:
        self.opened += 1
        if self.away:
            raise GatewayError("archive: cannot be reached")
        return self

    def send(self, result: Outgoing, file: Path) -> None:
        assert file.read_bytes() == result.sop_uid.encode()
        if self.breaks_after is not None:
            self.breaks_after -= 1
            if self.breaks_after < 0:
                raise GatewayError("archive: association ended")
        if result.sop_uid in self.refuses:
            raise RefusedByArchiveError("archive: refused by C-STORE status 0xA900")
        self.objects.append(result.sop_uid)

    def ask(self, transaction_uid: str, objects: Sequence[Outgoing], studies: Sequence[str]) -> Answer | None:
        if self.silent:
            return None
        uids = tuple(each.sop_uid for each in objects)
        return Answer((), uids) if self.forgets else Answer(uids, ())

    def close(self) -> None:
        pass


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def site(tmp_path: Path, archive: FakeArchive) -> Iterator[tuple[Sender, Queue, Settings]]:
    settings = Settings(
        spool=tmp_path / "spool",
        archive=Archive(),
        retry=Retry(first_seconds=0, longest_seconds=0, refusals=3, commitment_seconds=0),
    )
    spool = Spool(settings.spool)
    queue = Queue(spool.queue_file)
    for number in range(3):
        queue.add([Arrival(f"1.{number}", "a" * 64, "1", "", "MODALITY", f"incoming/{number}")])
        (job,) = queue.claim(State.RECEIVED, lease_seconds=60)
        objects = [
            Outgoing(uid, "1.2.3", spool.keep_result(uid, uid.encode())) for uid in (f"9.{number}.1", f"9.{number}.2")
        ]
        queue.finish_judging(job, presence="present", certainty=1.0, reasons=(), objects=objects)
    audit = AuditTrail(settings.spool, tmp_path / "audit")
    yield Sender(settings, queue, spool, audit, archive.connect), queue, settings
    queue.close()


def states(queue: Queue) -> dict[State, int]:
    return {state: number for state, number in queue.counts().items() if number}


def test_everything_is_sent_once_and_committed(site: tuple[Sender, Queue, Settings], archive: FakeArchive) -> None:
    sender, queue, _ = site
    assert sender.step()
    assert not sender.step()
    assert sorted(archive.objects) == [f"9.{job}.{each}" for job in range(3) for each in (1, 2)]
    assert states(queue) == {State.COMMITTED: 3}
    assert archive.opened == 1


def test_an_archive_that_is_away_for_a_day_costs_no_job_an_attempt(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, _ = site
    archive.away = True
    for _ in range(500):
        with pytest.raises(GatewayError):
            sender.step()
    assert states(queue) == {State.JUDGED: 3}
    assert {job.attempts for job in queue.recent()} == {0}
    archive.away = False
    sender.step()
    assert states(queue) == {State.COMMITTED: 3}
    assert len(archive.objects) == 6


def test_an_association_that_breaks_goes_on_where_it_broke(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, _ = site
    archive.breaks_after = 3
    with pytest.raises(GatewayError):
        sender.step()
    assert states(queue) == {State.SENT: 1, State.JUDGED: 2}
    archive.breaks_after = None
    sender.step()
    sender.step()
    assert states(queue) == {State.COMMITTED: 3}
    assert archive.objects.count("9.0.1") == 1


def test_what_the_archive_refuses_is_given_up_after_some_attempts_and_the_rest_goes_on(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, _ = site
    archive.refuses = {"9.1.2"}
    for _ in range(3):
        sender.step()
    assert states(queue) == {State.COMMITTED: 2, State.DEAD: 1}
    (dead,) = queue.dead()
    assert dead.failure is not None
    assert "0xA900" in dead.failure
    archive.refuses = set()
    queue.retry_dead()
    sender.step()
    assert states(queue) == {State.COMMITTED: 3}


def test_an_archive_that_accepts_and_forgets_is_sent_the_objects_again_and_given_up_at_last(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, settings = site
    archive.forgets = True
    sender.step()
    assert states(queue) == {State.JUDGED: 3}
    archive.forgets = False
    sender.step()
    assert states(queue) == {State.COMMITTED: 3}
    assert len(archive.objects) == 12
    archive.forgets = True
    _judge_again(queue)
    for _ in range(settings.retry.refusals + 1):
        sender.step()
    assert states(queue) == {State.DEAD: 3}


def _judge_again(queue: Queue) -> None:
    with queue._database.transaction() as run:
        run("UPDATE jobs SET state = 'judged', losses = 0")


def test_an_answer_that_does_not_come_is_asked_for_again(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, _ = site
    archive.silent = True
    for _ in range(3):
        sender.step()
    assert states(queue) == {State.SENT: 3}
    archive.silent = False
    sender.step()
    assert states(queue) == {State.COMMITTED: 3}
    assert len(archive.objects) == 6, "asking again sends nothing again"


def test_a_result_whose_file_is_gone_is_given_up_in_words(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive
) -> None:
    sender, queue, settings = site
    (gone, _) = queue.objects(1)
    assert gone.file is not None
    (settings.spool / gone.file).unlink()
    sender.step()
    assert states(queue) == {State.COMMITTED: 2, State.DEAD: 1}
    assert [job.failure for job in queue.dead()] == ["a result's file is not in the spool"]


def test_pauses_grow_while_the_archive_is_away(
    site: tuple[Sender, Queue, Settings], archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, _, _ = site
    waits: list[float] = []
    archive.away = True

    def delay(_: Retry, attempts: int) -> float:
        waits.append(attempts)
        return 0.0

    monkeypatch.setattr(Retry, "delay", delay)
    sender.run(lambda: len(waits) >= 4)
    assert waits == [1, 2, 3, 4]


def test_without_commitment_sent_is_the_end(tmp_path: Path, site: tuple[Sender, Queue, Settings], archive: Any) -> None:
    import dataclasses

    _, queue, settings = site
    quiet = dataclasses.replace(settings, archive=Archive(commitment=False))
    sender = Sender(quiet, queue, Spool(settings.spool), AuditTrail(settings.spool, tmp_path / "a"), archive.connect)
    assert sender.step()
    assert not sender.step()
    assert states(queue) == {State.SENT: 3}


def test_the_boot_clock_only_goes_forward() -> None:
    first: Callable[[], float] = clock.now
    assert 0 <= first() <= clock.now()
    assert clock.boot() == clock.boot()
