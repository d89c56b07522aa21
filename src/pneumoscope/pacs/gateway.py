"""The gateway as a whole: one process that receives, watches and shows, and processes that judge and deliver.

Any of them may be killed at any time. The first one starts the others again, and goes through the spool when it starts:
images without a row get one, half-written files go, leases of the dead end. When the first one dies, the others notice
and stop.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from pneumoscope.errors import GatewayError, InputError, UsageError
from pneumoscope.pacs.audit import AuditTrail, Event, Outcome
from pneumoscope.pacs.content import content_sha256
from pneumoscope.pacs.deliver import Sender, take_answer
from pneumoscope.pacs.identity import normalise, read_header
from pneumoscope.pacs.jobs import DONE_STATES, Added, Arrival, State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Settings
from pneumoscope.pacs.spool import Spool

LOCK_FILE: Final = "gateway.lock"
_HOUSEKEEPING_SECONDS: Final = 10.0
_RECOVERED: Final = "recovered"


class Gateway:
    """A running gateway.

    Args:
        settings: of the gateway.

    Raises:
        GatewayError: spool or queue cannot be used, or another gateway uses them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.spool = Spool(settings.spool)
        self._lock = _take_lock(settings.spool / LOCK_FILE)
        self.audit = AuditTrail(settings.spool, settings.audit_log)
        self.queue, self._received = self.open_queue(), self.open_queue()
        self._stop = threading.Event()
        self._workers: dict[str, Any] = {}

    def open_queue(self) -> Queue:
        """A queue for the calling thread."""
        return Queue(self.spool.queue_file)

    def recover(self) -> int:
        """Go through the spool after a start. Returns how many images were without a row."""
        self.queue.release_dead_owners()
        known, recovered = self.queue.files(), 0
        for name in list(self.spool.images()):
            if name not in known:
                recovered += self._adopt(name)
        return recovered

    def run(self, *, watch: bool = False, ready: Callable[[dict[str, int]], None] | None = None) -> None:
        """Run until stopped by a signal or :meth:`stop`.

        Args:
            watch: follow a server for new images, besides receiving.
            ready: told of the ports when everything listens.

        Raises:
            UsageError: an address cannot be listened on.
        """
        from pneumoscope.pacs.receive import Receiver
        from pneumoscope.pacs.status import StatusServer

        recovered = self.recover()
        receiver = Receiver(self.settings.receive, self.spool, self._received, self.audit, self._commitment)
        page = StatusServer(self.settings, self.open_queue, self.spool) if self.settings.status.port else None
        ports = {"dicom": receiver.start()}
        watcher = None
        try:
            if page is not None:
                ports["status"] = page.start()
            self._start_workers()
            watcher = self._start_watcher() if watch else None
            self.audit.write(Event.APPLICATION_ACTIVITY, "started", recovered=recovered, watching=watch)
            if ready is not None:
                ready(ports)
            self._look_after()
        finally:
            self._stop.set()
            receiver.stop()
            if page is not None:
                page.stop()
            self._stop_workers()
            if watcher is not None:
                watcher.join(5)
            self.audit.write(Event.APPLICATION_ACTIVITY, "stopped")

    def stop(self, *_: object) -> None:
        """Ask :meth:`run` to end; usable as a signal's handler."""
        self._stop.set()

    def close(self) -> None:
        """Let another gateway use the spool."""
        self.queue.close()
        self._received.close()
        self._lock.close()

    def _look_after(self) -> None:
        """Start again what died, and purge what is done."""
        cleaned = time.monotonic()
        while not self._stop.wait(0.2):
            with contextlib.suppress(GatewayError):
                self._start_workers()
            if time.monotonic() - cleaned > _HOUSEKEEPING_SECONDS:
                cleaned = time.monotonic()
                with contextlib.suppress(GatewayError, OSError):
                    self.queue.release_dead_owners()
                    purge(self.settings, self.queue, self.spool, self.audit)

    def _start_workers(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        names = [f"judge-{number}" for number in range(self.settings.judging.workers)]
        for name in (*names, "deliver"):
            process = self._workers.get(name)
            if process is not None and process.is_alive():
                continue
            if process is not None:
                self.audit.write(
                    Event.APPLICATION_ACTIVITY,
                    "worker died",
                    Outcome.SERIOUS_FAILURE,
                    worker=name,
                    code=process.exitcode,
                )
                self.queue.release(process.pid, f"the worker died (exit code {process.exitcode})")
            target = _run_sender if name == "deliver" else _run_judge
            process = spawn.Process(target=target, args=(self.settings, os.getpid()), name=name)
            process.start()
            self._workers[name] = process

    def _stop_workers(self) -> None:
        for process in self._workers.values():
            process.terminate()
        for process in self._workers.values():
            process.join(10)
            if process.is_alive():
                process.kill()

    def _start_watcher(self) -> threading.Thread:
        from pneumoscope.pacs.watch import open_watcher

        def follow() -> None:
            watcher = open_watcher(self.settings, self.open_queue(), self.spool, self.audit)
            watcher.run(self._stop.is_set)

        thread = threading.Thread(target=follow, name="watch", daemon=True)
        thread.start()
        return thread

    def _commitment(self, transaction_uid: str, kept: list[str], lost: list[str]) -> None:
        take_answer(self._received, self.audit, self.settings, transaction_uid, kept, lost)

    def _adopt(self, name: str) -> int:
        """Give a row to an image whose receiver died before it could; its sender was never told that it is safe."""
        content = self.spool.path(name).read_bytes()
        try:
            identity = normalise(read_header(content))
        except InputError:
            return 0
        arrival = Arrival(
            sop_uid=str(identity.SOPInstanceUID),
            content_sha256=content_sha256(content),
            study_uid=str(identity.StudyInstanceUID),
            accession=str(identity.AccessionNumber),
            source=_RECOVERED,
            file=name,
        )
        (added,) = self.queue.add([arrival])
        if added is not Added.NEW and not self.queue.holds(arrival):
            self.spool.remove(name)
        return int(added is Added.NEW)


def purge(settings: Settings, queue: Queue, spool: Spool, audit: AuditTrail, keep_days: float | None = None) -> int:
    """Delete the files of images whose results the archive keeps, or that were not judged.

    Args:
        settings: of the gateway.
        queue: of the calling thread.
        spool: where the files are.
        audit: trail.
        keep_days: how old they have to be; as the settings say for ``None``.

    Returns:
        How many images.
    """
    days = settings.keep_days if keep_days is None else keep_days
    # Without commitment nobody ever says that the archive keeps what it took.
    states = DONE_STATES if settings.archive.commitment else (*DONE_STATES, State.SENT)
    total = 0
    while number := queue.purge(time.time() - 86400 * days, spool.remove, states=states):
        total += number
    if total:
        audit.write(Event.STUDY_DELETED, "files purged", images=total)
    return total


def _run_judge(settings: Settings, parent: int) -> None:
    from pneumoscope.model.classifier import load_model
    from pneumoscope.pacs.judge import Judge

    stopping = _until_told(parent)
    spool = Spool(settings.spool)
    audit = AuditTrail(settings.spool, settings.audit_log)
    model = load_model(settings.judging.model)
    Judge(settings, model, Queue(spool.queue_file), spool, audit).run(stopping)


def _run_sender(settings: Settings, parent: int) -> None:
    import logging

    stopping = _until_told(parent)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # quotes identity
    spool = Spool(settings.spool)
    audit = AuditTrail(settings.spool, settings.audit_log)
    Sender(settings, Queue(spool.queue_file), spool, audit).run(stopping)


def _until_told(parent: int) -> Callable[[], bool]:
    """True once the process was told to end, or its parent is gone."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl+C goes to all; the parent ends the others
    return lambda: told.is_set() or os.getppid() != parent


def _take_lock(file: Path) -> IO[str]:
    """Hold the spool: two gateways on one would clean up each other's half-written files."""
    stream = file.open("w")
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return stream
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise GatewayError(f"{file.parent}: another gateway runs on this spool; stop it first") from None
    return stream


@contextlib.contextmanager
def running(settings: Settings, *, watch: bool = False) -> Iterator[dict[str, int]]:
    """A gateway in a thread of this process, for ``pacs check`` and tests; gives the ports it listens on."""
    gateway = Gateway(settings)
    ports: dict[str, int] = {}
    failure: list[BaseException] = []
    listening = threading.Event()

    def ready(found: dict[str, int]) -> None:
        ports.update(found)
        listening.set()

    def run() -> None:
        try:
            gateway.run(watch=watch, ready=ready)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failure.append(error)
            listening.set()

    thread = threading.Thread(target=run, name="gateway", daemon=True)
    thread.start()
    listening.wait(60)
    try:
        if failure:
            raise failure[0]
        if not ports:
            raise UsageError("the gateway did not start within a minute")
        yield ports
    finally:
        gateway.stop()
        thread.join(30)
        gateway.close()
