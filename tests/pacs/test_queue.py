"""The queue: nothing lost, nothing doubled, whoever dies and whatever the clock does."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pneumoscope.errors import GatewayError
from pneumoscope.pacs import clock, processes
from pneumoscope.pacs.jobs import Added, Arrival, Outgoing, State
from pneumoscope.pacs.queue import Queue


def arrival(number: int, content: str = "a") -> Arrival:
    return Arrival(f"1.2.{number}", content * 64, f"1.{number}", f"A{number}", "MODALITY", f"incoming/{number}.dcm")


def outgoing(number: int) -> list[Outgoing]:
    return [Outgoing(f"2.25.{number}.{kind}", "1.2.3", f"outgoing/{number}.{kind}.dcm") for kind in (0, 1)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite"


@pytest.fixture
def queue(file: Path) -> Iterator[Queue]:
    queue = Queue(file)
    yield queue
    queue.close()


def no_delay(_: int) -> float:
    return 0.0


def judged(queue: Queue, number: int) -> None:
    (job,) = queue.claim(State.RECEIVED, lease_seconds=10)
    assert queue.finish_judging(job, presence="present", certainty=90.0, reasons=(), objects=outgoing(number))


def sent(queue: Queue, transaction: str) -> None:
    (job,) = queue.claim(State.JUDGED, lease_seconds=10)
    assert queue.finish(job, State.SENT)
    (job,) = queue.claim(State.SENT, lease_seconds=10)
    assert queue.await_commitment(job, transaction, 60)


def test_an_image_is_taken_once(queue: Queue) -> None:
    assert queue.add([arrival(1), arrival(2), arrival(1)]) == [Added.NEW, Added.NEW, Added.DUPLICATE]
    assert queue.add([arrival(1, "b")]) == [Added.CONFLICT]
    assert queue.counts()[State.RECEIVED] == 2


def test_the_whole_way(queue: Queue) -> None:
    queue.add([arrival(1)])
    judged(queue, 1)
    sent(queue, "9.9")
    assert queue.committed("1.1", ["2.25.1.0", "2.25.1.1"], [], no_delay) == []
    assert queue.committed("9.9", ["2.25.1.0"], [], no_delay) == [], "half an answer is none"
    assert queue.committed("9.9", ["2.25.1.0", "2.25.1.1"], [], no_delay) == [(1, State.COMMITTED)]
    assert queue.committed("9.9", ["2.25.1.0", "2.25.1.1"], [], no_delay) == [], "answered already"
    assert queue.counts()[State.COMMITTED] == 1


def test_without_objects_an_image_is_refused_with_its_reasons(queue: Queue) -> None:
    queue.add([arrival(1)])
    (job,) = queue.claim(State.RECEIVED, lease_seconds=10)
    queue.finish_judging(job, presence="not evaluated", certainty=None, reasons=("view LL; not known",), objects=())
    (done,) = queue.recent()
    assert (done.state, done.reasons) == (State.REFUSED, ("view LL; not known",))
    assert queue.reasons() == {"view LL": 1}


def test_what_the_archive_lost_is_sent_again_and_counted(queue: Queue) -> None:
    queue.add([arrival(1)])
    judged(queue, 1)
    for losses in (1, 2):
        sent(queue, f"9.{losses}")
        assert queue.committed(f"9.{losses}", ["2.25.1.0"], ["2.25.1.1"], no_delay) == [(1, State.JUDGED)]
        (job,) = queue.recent()
        assert job.losses == losses


def test_a_lease_keeps_others_away_until_it_runs_out(file: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.now()
    monkeypatch.setattr(clock, "now", lambda: began)
    other = Queue(file)
    queue.add([arrival(1)])
    (mine,) = queue.claim(State.RECEIVED, lease_seconds=10)
    assert other.claim(State.RECEIVED, lease_seconds=10) == []
    monkeypatch.setattr(clock, "now", lambda: began + 11)
    (theirs,) = other.claim(State.RECEIVED, lease_seconds=10)
    assert theirs.attempts == 1, "a lease that ran out counts"
    assert not queue.finish_judging(mine, presence="present", certainty=1.0, reasons=(), objects=outgoing(1))
    assert not queue.postpone(mine, 0, None)
    assert other.finish_judging(theirs, presence="absent", certainty=1.0, reasons=(), objects=outgoing(1))
    (job,) = queue.recent()
    assert job.presence == "absent"
    other.close()


@pytest.mark.parametrize("jump", [-1e8, -3600.0, 3600.0, 1e8])
def test_a_clock_that_jumps_changes_nothing(jump: float, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.add([arrival(1), arrival(2)])
    (first,) = queue.claim(State.RECEIVED, lease_seconds=60)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    (second,) = queue.claim(State.RECEIVED, lease_seconds=60)
    assert (first.id, second.id) == (1, 2)
    assert queue.claim(State.RECEIVED, lease_seconds=60) == [], "the first one's lease still holds"
    assert queue.postpone(second, 60, None)
    assert queue.claim(State.RECEIVED, lease_seconds=60) == []


def test_after_a_restart_of_the_machine_everything_is_due(
    file: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add([arrival(1)])
    assert queue.claim(State.RECEIVED, lease_seconds=1e6)
    monkeypatch.setattr(clock, "boot", lambda: "another")
    monkeypatch.setattr(clock, "now", lambda: 5.0)
    after = Queue(file)
    assert len(after.claim(State.RECEIVED, lease_seconds=10)) == 1
    after.close()


def _claim_and_wait(file: Path, claimed: multiprocessing.synchronize.Event) -> None:
    Queue(file).claim(State.RECEIVED, lease_seconds=1e6)
    claimed.set()
    time.sleep(60)


def test_the_lease_of_a_dead_process_ends(file: Path, queue: Queue) -> None:
    queue.add([arrival(1)])
    spawn = multiprocessing.get_context("spawn")
    claimed = spawn.Event()
    process = spawn.Process(target=_claim_and_wait, args=(file, claimed))
    process.start()
    assert claimed.wait(30)
    assert queue.release_dead_owners() == 0
    process.kill()
    process.join()
    assert queue.release_dead_owners() == 1
    (job,) = queue.claim(State.RECEIVED, lease_seconds=10)
    assert job.attempts == 0, "died with all the others: not the image's fault"
    assert job.owner is not None
    assert queue.release(int(job.owner.split(":")[0]), "the worker died") == 1
    (job,) = queue.claim(State.RECEIVED, lease_seconds=10)
    assert (job.attempts, job.failure) == (1, "the worker died")


def test_a_dead_process_is_none_before_it_is_buried() -> None:
    process = subprocess.Popen(["true"])
    name = processes.name(process.pid)
    assert processes.is_alive(processes.name(os.getpid()))
    end = time.monotonic() + 10
    while processes.is_alive(name) and time.monotonic() < end:
        time.sleep(0.01)
    assert not processes.is_alive(name), "a zombie"
    process.wait()
    assert not processes.is_alive(f"{os.getpid()}:1"), "the number of another, given out anew"


def _work(file: Path, number: int) -> None:
    queue = Queue(file)
    while jobs := queue.claim(State.RECEIVED, lease_seconds=60):
        (job,) = jobs
        assert queue.finish_judging(
            job, presence=f"worker {number}", certainty=None, reasons=(), objects=outgoing(job.id)
        )


def test_several_processes_share_the_work(file: Path, queue: Queue) -> None:
    queue.add([arrival(number) for number in range(60)])
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_work, args=(file, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert queue.counts()[State.JUDGED] == 60
    assert all(job.attempts == 0 for job in queue.recent(60))


def test_a_database_that_was_moved_away_is_noticed(file: Path, queue: Queue, tmp_path: Path) -> None:
    queue.add([arrival(1)])
    file.rename(tmp_path / "moved.sqlite")
    with pytest.raises(GatewayError, match="gone"):
        queue.add([arrival(2)])
    Queue(file).close()
    with pytest.raises(GatewayError, match="another file"):
        queue.add([arrival(2)])


def test_a_copy_of_the_database_goes_on_where_it_was_made(queue: Queue, tmp_path: Path, file: Path) -> None:
    queue.add([arrival(1), arrival(2)])
    judged(queue, 1)
    folder = tmp_path / "copy"
    folder.mkdir()
    for part in file.parent.glob("queue.sqlite*"):
        shutil.copy(part, folder)
    judged(queue, 2)
    copy = Queue(folder / "queue.sqlite")
    assert (copy.counts()[State.RECEIVED], copy.counts()[State.JUDGED]) == (1, 1)
    copy.close()


def test_a_queue_of_a_newer_version_is_left_alone(file: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(GatewayError, match="newer"):
        Queue(file)


def test_a_file_that_is_no_database_is_said_to_be_none(file: Path) -> None:
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(GatewayError, match="cannot be opened"):
        Queue(file)


def test_a_full_disk_keeps_nothing_and_says_so(queue: Queue) -> None:
    queue.add([arrival(1)])
    queue._database._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(GatewayError, match="full"):
        queue.add([arrival(number, "c" * 20) for number in range(2, 500)])
    assert queue.counts()[State.RECEIVED] == 1
    queue._database._connection.execute("PRAGMA max_page_count = 100000")
    assert queue.add([arrival(2)]) == [Added.NEW]


def test_the_dead_come_back_where_they_were(queue: Queue) -> None:
    queue.add([arrival(1), arrival(2)])
    judged(queue, 1)
    (judged_one,) = queue.claim(State.JUDGED, lease_seconds=10)
    (received,) = queue.claim(State.RECEIVED, lease_seconds=10)
    for job in (judged_one, received):
        queue.finish(job, State.DEAD, failure="refused")
    assert [job.failure for job in queue.dead()] == ["refused"] * 2
    assert queue.retry_dead() == 2
    assert (queue.counts()[State.JUDGED], queue.counts()[State.RECEIVED]) == (1, 1)


def test_purging_deletes_files_and_remembers_images(queue: Queue) -> None:
    queue.add([arrival(1), arrival(2)])
    judged(queue, 1)
    sent(queue, "9.9")
    queue.committed("9.9", ["2.25.1.0", "2.25.1.1"], [], no_delay)
    removed: list[str] = []
    assert queue.purge(0.0, removed.append) == 0, "younger than asked for"
    assert queue.purge(time.time() + 1, removed.append) == 1
    assert sorted(removed) == ["incoming/1.dcm", "outgoing/1.0.dcm", "outgoing/1.1.dcm"]
    assert queue.add([arrival(1)]) == [Added.DUPLICATE]
    assert queue.is_result("2.25.1.1")
    assert queue.purge(time.time() + 1, removed.append) == 0


def test_a_full_queue_costs_no_more_for_each_job(tmp_path: Path) -> None:
    """Statements that a job needs look at a bounded number of rows: asked of SQLite's planner, not of a stopwatch."""
    queue = Queue(tmp_path / "queue.sqlite")
    for statement in (
        "SELECT id FROM jobs WHERE state = 'received' AND due <= 1 ORDER BY due, id LIMIT 1",
        "SELECT content_sha256 FROM jobs WHERE sop_uid = '1'",
        "SELECT * FROM jobs WHERE transaction_uid = '1' AND state = 'sent'",
        "SELECT * FROM objects WHERE job = 1 ORDER BY rowid",
        "SELECT * FROM jobs ORDER BY changed DESC, id DESC LIMIT 20",
    ):
        plan = " ".join(row["detail"] for row in queue._database.read(f"EXPLAIN QUERY PLAN {statement}"))
        assert "INDEX" in plan, (statement, plan)
        assert "TEMP B-TREE FOR ORDER BY" not in plan, (statement, plan)
    queue.close()
