"""Who does the work: the protocol of engines, and the loop that commits what they give back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pneumoscope.archive.items import Item
from pneumoscope.archive.job import Job, Settings
from pneumoscope.archive.plan import read_shard
from pneumoscope.archive.records import ShardTables
from pneumoscope.archive.scorer import ITEM_SECONDS
from pneumoscope.files import make_folder, write_atomically


class Engine(StrEnum):
    """Where shards are scored."""

    RAY = "ray"
    """Actors of a Ray cluster, or of Ray on this machine."""
    LOCAL = "local"
    """Processes of this machine; needs nothing but the base install and PyArrow."""


@dataclass(frozen=True)
class Task:
    """One shard to score.

    Attributes:
        shard: its number.
        items: its inputs, in order.
    """

    shard: int
    items: tuple[Item, ...]


class Workers(Protocol):
    """An engine that runs: takes tasks lazily and gives tables back as they are done, in any order."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, ShardTables]]:
        """Score tasks, a few in flight at a time. A shard whose worker died comes back too, scored input by input."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


def open_engine(
    engine: Engine, settings: Settings, *, workers: int, address: str | None = None, seconds: float = ITEM_SECONDS
) -> Workers:
    """Start workers.

    Args:
        engine: which.
        settings: of the job.
        workers: how many.
        address: of a Ray cluster to join; ``None`` or ``"local"`` starts Ray here.
        seconds: that one input may take.

    Raises:
        ArchiveError: a worker cannot start, or the cluster cannot be joined.
        MissingExtraError: Ray is not installed.
    """
    if engine is Engine.RAY:
        from pneumoscope.archive.engine_ray import RayWorkers

        return RayWorkers(settings, workers=workers, address=address, seconds=seconds)
    from pneumoscope.archive.engine_local import LocalWorkers

    return LocalWorkers(settings, workers=workers, seconds=seconds)


def pending(job: Job, shards: Iterable[int]) -> Iterator[Task]:
    """The tasks that no earlier run committed, read from the plan when they are needed."""
    for shard in shards:
        if not job.is_committed(shard):
            yield Task(shard, tuple(read_shard(job, shard)))


def run_shards(
    job: Job, workers: Workers, shards: Iterable[int], done: Callable[[int, ShardTables], None] = lambda *_: None
) -> None:
    """Score and commit shards.

    Args:
        job: whose folder takes the tables.
        workers: an engine that runs.
        shards: numbers; those that are committed are passed over.
        done: told of each committed shard.

    Raises:
        PneumoscopeError: the disk is full or the folder cannot be written; what is committed stays.
    """
    for shard, tables in workers.run(pending(job, shards)):
        commit(job, shard, tables)
        done(shard, tables)


def commit(job: Job, shard: int, tables: ShardTables) -> None:
    """Put a shard's tables in their places; the results last, since they are what says that a shard is done."""
    parts = (("heatmaps", tables.heatmaps), ("timings", tables.timings), ("results", tables.results))
    for kind, content in parts:
        if content is not None:
            file = job.shard_file(kind, shard)
            make_folder(file.parent)
            write_atomically(file, content)
