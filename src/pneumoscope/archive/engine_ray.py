"""Ray: actors that each hold a model, on this machine or on a cluster. The driver commits what they give back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pneumoscope.archive.engines import Task
from pneumoscope.archive.job import Settings
from pneumoscope.archive.records import ShardTables
from pneumoscope.archive.scorer import ITEM_SECONDS, Scorer, score_alone
from pneumoscope.errors import ArchiveError, MissingExtraError, PneumoscopeError

IN_FLIGHT: Final = 2
"""Shards given to an actor: one that it scores and one that waits, so that it never waits itself."""


class RayWorkers:
    """See :class:`~pneumoscope.archive.engines.Workers`.

    Tables travel to the driver through Ray's object store, so only the driver needs the output folder; every node
    needs Pneumoscope and the source.

    Args:
        settings: of the job.
        workers: actors.
        address: of a cluster (``auto`` or ``ray://host:port``); ``None`` or ``"local"`` starts Ray here.
        seconds: that a shard may take for each of its inputs before its actor counts as hanging.

    Raises:
        MissingExtraError: Ray is not installed.
        ArchiveError: the cluster cannot be joined, or an actor cannot open model or source.
    """

    def __init__(
        self, settings: Settings, *, workers: int, address: str | None = None, seconds: float = ITEM_SECONDS
    ) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError("`pneumoscope archive score` on Ray", "archive") from error
        self._ray: Any = ray
        self._settings, self._seconds = settings, seconds
        self._started = _join(ray, address, workers)
        self._kind: Any = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._alone: Any = ray.remote(num_cpus=0, max_retries=3)(score_alone)
        self._actors = [self._kind.remote(settings) for _ in range(workers)]
        try:
            ray.get([actor.ready.remote() for actor in self._actors])
        except ray.exceptions.RayTaskError as error:
            self.close()
            cause = error.cause if isinstance(error.cause, PneumoscopeError) else error
            raise ArchiveError(f"a worker cannot start: {cause}") from error
        except ray.exceptions.RayError as error:
            self.close()
            raise ArchiveError(f"a worker cannot start: {str(error).splitlines()[0]}") from error

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, ShardTables]]:
        """Feed the actors; see :class:`~pneumoscope.archive.engines.Workers`."""
        ray = self._ray
        waiting = iter(tasks)
        load = dict.fromkeys(range(len(self._actors)), 0)
        given: dict[Any, tuple[Task, int]] = {}
        alone: dict[Any, Task] = {}
        while True:
            for number in sorted(load, key=lambda each: load[each]):
                while load[number] < IN_FLIGHT and (task := next(waiting, None)) is not None:
                    given[self._actors[number].score.remote(task.items)] = (task, number)
                    load[number] += 1
            if not given and not alone:
                return
            longest = max((len(task.items) for task, _ in given.values()), default=1)
            ready, _ = ray.wait([*given, *alone], num_returns=1, timeout=self._seconds * longest)
            for reference in ready or list(given):  # nothing ready for so long: all hang
                if reference in alone:
                    task = alone.pop(reference)
                    yield task.shard, ray.get(reference)
                    continue
                task, number = given.pop(reference)
                load[number] -= 1
                tables = _tables(ray, reference) if ready else None
                if tables is not None:
                    yield task.shard, tables
                    continue
                # One that died takes the shard that waited behind it along; that one costs a little, not its results.
                self._replace(number)
                alone[self._alone.remote(self._settings, task.items, self._seconds)] = task

    def _replace(self, number: int) -> None:
        ray = self._ray
        try:
            ray.get(self._actors[number].ready.remote(), timeout=1)
        except ray.exceptions.RayError:
            ray.kill(self._actors[number])
            self._actors[number] = self._kind.remote(self._settings)

    def close(self) -> None:
        """End the actors, and Ray where it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()


def _join(ray: Any, address: str | None, workers: int) -> bool:
    """Join a cluster, or start Ray here; whether it was started here."""
    if ray.is_initialized():
        return False
    # No usage report and no dashboard: nothing leaves the machine, nothing listens beyond it.
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address in (None, "local"):
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", **options
            )
        else:
            ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ArchiveError(f"Ray at '{address or 'local'}': cannot be reached ({error})") from error
    return True


def _tables(ray: Any, reference: Any) -> ShardTables | None:
    """What an actor gave; ``None`` where it died."""
    try:
        tables: ShardTables = ray.get(reference)
    except ray.exceptions.RayError:
        return None
    return tables


class _Actor:
    """A scorer in a process of Ray's."""

    def __init__(self, settings: Settings) -> None:
        self._scorer = Scorer(settings)

    def ready(self) -> bool:
        return True

    def score(self, items: tuple[Any, ...]) -> ShardTables:
        return self._scorer.score(items)
