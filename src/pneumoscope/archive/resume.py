"""Going on with a job: which committed shards hold files that changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow.parquet as pq

from pneumoscope.archive.items import Item, Source
from pneumoscope.archive.job import Job
from pneumoscope.archive.plan import read_shard, write_shard
from pneumoscope.errors import InputError


def stale_shards(job: Job, source: Source, shards: int) -> Iterator[int]:
    """Committed shards of which an input's size or stamp is another than when it was read, and its hash too.

    Looks at every input without reading it; only one whose size or stamp changed is read, to compare its hash. The
    plan of a stale shard takes the new sizes and stamps.
    """
    for shard in range(shards):
        if not job.is_committed(shard):
            continue
        columns = pq.read_table(job.shard_file("results", shard), columns=["bytes", "modified", "sha256"]).to_pydict()
        items = read_shard(job, shard)
        now = [_stamp(source, item) for item in items]
        seen = zip(columns["bytes"], columns["modified"], strict=True)
        moved = [
            index
            for index, ((size, modified), item) in enumerate(zip(seen, now, strict=True))
            if item.modified != modified or (item.size is not None and size is not None and item.size != size)
        ]
        if any(_sha256(source, items[index]) != columns["sha256"][index] for index in moved):
            write_shard(job, shard, now)
            yield shard


def _stamp(source: Source, item: Item) -> Item:
    try:
        return source.stamp(item)
    except InputError:
        return Item(item.name)


def _sha256(source: Source, item: Item) -> str | None:
    try:
        return hashlib.sha256(source.read(item)).hexdigest()
    except InputError:
        return None
