"""Processes of this machine: one model each, one shard at a time, started anew where one dies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from pneumoscope.archive.engines import Task
from pneumoscope.archive.job import Settings
from pneumoscope.archive.records import ShardTables
from pneumoscope.archive.scorer import ITEM_SECONDS, Scorer, score_alone
from pneumoscope.errors import ArchiveError, PneumoscopeError

START_SECONDS: Final = 600.0
"""For a process to load its model; imports on a busy machine are slow."""


class LocalWorkers:
    """See :class:`~pneumoscope.archive.engines.Workers`.

    Args:
        settings: of the job.
        workers: processes.
        seconds: without a finished input after which a process counts as hanging and is ended.

    Raises:
        ArchiveError: the first process cannot open model or source.
    """

    def __init__(self, settings: Settings, *, workers: int, seconds: float = ITEM_SECONDS) -> None:
        self._settings, self._seconds = settings, seconds
        self._processes = [_Process(settings) for _ in range(workers)]
        for process in self._processes:
            process.wait_until_ready()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, ShardTables]]:
        """Feed the processes; see :class:`~pneumoscope.archive.engines.Workers`."""
        waiting = iter(tasks)
        idle, busy = list(self._processes), dict[Connection, _Process]()
        while True:
            while idle and (task := next(waiting, None)) is not None:
                process = idle.pop()
                process.begin(task)
                busy[process.pipe] = process
            if not busy:
                return
            ready = wait(list(busy), timeout=self._seconds)
            for pipe in [each for each in busy if each in ready] or list(busy):
                process = busy[pipe]
                answer = process.answer() if ready else None
                if answer is _MORE:
                    continue
                del busy[pipe]
                assert process.task is not None
                shard, items = process.task.shard, process.task.items
                if isinstance(answer, ShardTables):
                    idle.append(process)
                    yield shard, answer
                else:  # it died, or nothing came for too long
                    idle.append(self._replace(process))
                    yield shard, score_alone(self._settings, items, self._seconds)

    def _replace(self, dead: _Process) -> _Process:
        dead.end()
        fresh = _Process(self._settings)
        self._processes[self._processes.index(dead)] = fresh
        fresh.wait_until_ready()
        return fresh

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.end()


_MORE: Final = object()


class _Process:
    """One worker process and what it is at."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self._process = context.Process(target=_serve, args=(settings, theirs), daemon=False)
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        answer: Any = EOFError()
        if self.pipe.poll(START_SECONDS):
            try:
                answer = self.pipe.recv()
            except EOFError as error:
                answer = error
        if isinstance(answer, PneumoscopeError):
            raise answer
        if answer != "ready":
            self.end()
            raise ArchiveError("a worker process did not start; see what it wrote above, and try fewer --workers")

    def begin(self, task: Task) -> None:
        self.task = task
        self.pipe.send(task)

    def answer(self) -> Any:
        """Tables; ``_MORE`` after a mere sign of life; ``None`` from a process that died."""
        try:
            received = self.pipe.recv()
        except (EOFError, ConnectionResetError, OSError):
            return None
        return _MORE if received == "alive" else received

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(settings: Settings, pipe: Connection) -> None:
    try:
        scorer = Scorer(settings)
    except PneumoscopeError as error:
        pipe.send(error)
        return
    pipe.send("ready")
    try:
        while True:
            task: Task = pipe.recv()
            pipe.send(scorer.score(task.items, told=lambda: pipe.send("alive")))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):  # the driver is gone
        return
