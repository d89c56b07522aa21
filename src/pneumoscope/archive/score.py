"""A job from source to committed shards, and what it would cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from pneumoscope.archive.engines import Engine, open_engine, run_shards
from pneumoscope.archive.job import Job, Settings
from pneumoscope.archive.plan import Plan, make_plan
from pneumoscope.archive.records import ShardTables
from pneumoscope.archive.resume import stale_shards
from pneumoscope.archive.scorer import ITEM_SECONDS, Scorer
from pneumoscope.archive.sources import open_source

SAMPLE: Final = 16
"""Inputs that an estimate scores."""


@dataclass
class Outcome:
    """What one run did.

    Attributes:
        plan: of the job.
        scored: inputs of this run, by status.
        kept: shards that earlier runs committed.
        stale: shards that were scored again because a file changed.
    """

    plan: Plan
    scored: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a job would cost.

    Attributes:
        inputs: listed.
        size: bytes, where known.
        repeated: names listed again.
        seconds_each: to fetch and judge one input in one process, mean of a sample.
        hours: with so many workers.
    """

    inputs: int
    size: int
    repeated: int
    seconds_each: float
    hours: float


def score_archive(
    job: Job,
    *,
    engine: Engine,
    workers: int,
    address: str | None = None,
    seconds: float = ITEM_SECONDS,
    listed: Callable[[int], None] = lambda _: None,
    done: Callable[[Plan, ShardTables | None], None] = lambda *_: None,
) -> Outcome:
    """Score everything that is not committed yet.

    Args:
        job: begun or resumed.
        engine: who does the work.
        workers: how many.
        address: of a Ray cluster.
        seconds: that one input may take before it is passed over.
        listed: told how many more inputs were listed.
        done: told the plan when it is complete, and then of each committed shard.

    Raises:
        ArchiveError: the source cannot be listed or is empty, or the workers cannot start.
        PneumoscopeError: the disk is full; what is committed stays.
    """
    settings = job.settings
    source = open_source(settings.source, where=settings.where, column=settings.column)
    outcome = Outcome(make_plan(job, source.items(), listed))
    for shard in list(stale_shards(job, source, outcome.plan.shards)):
        job.shard_file("results", shard).unlink()
        outcome.stale += 1
    done(outcome.plan, None)
    shards = range(outcome.plan.shards)
    left = [shard for shard in shards if not job.is_committed(shard)]
    outcome.kept = outcome.plan.shards - len(left)
    if not left:
        return outcome
    running = open_engine(engine, settings, workers=min(workers, len(left)), address=address, seconds=seconds)
    try:

        def committed(_shard: int, tables: ShardTables) -> None:
            outcome.scored.update(tables.counts)
            done(outcome.plan, tables)

        run_shards(job, running, left, committed)
    finally:
        running.close()
    return outcome


def estimate(settings: Settings, workers: int) -> Estimate:
    """List the source, score a few of its inputs, and reckon; writes nothing."""
    source = open_source(settings.source, where=settings.where, column=settings.column)
    scorer = Scorer(settings)
    inputs = size = 0
    seconds: list[float] = []
    seen: set[str] = set()
    repeated = 0
    for item in islice(source.items(), settings.limit):
        if item.name in seen:
            repeated += 1
            continue
        seen.add(item.name)
        inputs, size = inputs + 1, size + (item.size or 0)
        if len(seconds) < SAMPLE:
            begin = time.perf_counter()
            scorer.score_item(item)
            seconds.append(time.perf_counter() - begin)
    each = sum(seconds) / len(seconds) if seconds else 0.0
    return Estimate(inputs, size, repeated, each, inputs * each / workers / 3600)
