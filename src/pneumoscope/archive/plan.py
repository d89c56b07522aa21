"""The list of inputs on disk, one small table a shard, so that memory does not grow with the archive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pneumoscope.archive.items import Item
from pneumoscope.archive.job import Job
from pneumoscope.errors import ArchiveError
from pneumoscope.files import fill_atomically, make_folder, write_atomically

_SCHEMA = pa.schema([("name", pa.string()), ("size", pa.int64()), ("modified", pa.string())])


@dataclass(frozen=True)
class Plan:
    """How much there is.

    Attributes:
        inputs: in all shards.
        shards: numbered from 0.
        size: bytes, of inputs whose size is known.
        repeated: names that the source listed again; each counts once.
    """

    inputs: int
    shards: int
    size: int
    repeated: int


def make_plan(job: Job, items: Iterable[Item], progress: Callable[[int], None] = lambda _: None) -> Plan:
    """List a source into the job's folder, or read the list that an earlier run completed.

    Args:
        job: whose folder takes the plan.
        items: of the source; not touched where the plan is complete.
        progress: told how many more inputs were listed.

    Raises:
        ArchiveError: the source cannot be listed, or is empty.
    """
    done = job.folder / "plan" / "complete.json"
    if done.is_file():
        return Plan(**json.loads(done.read_text("utf-8")))
    make_folder(done.parent)
    inputs = shards = size = 0
    names = _Names()
    stream = islice(names.once(items), job.settings.limit)
    while chunk := list(islice(stream, job.settings.shard_size)):
        write_shard(job, shards, chunk)
        inputs, shards = inputs + len(chunk), shards + 1
        size += sum(item.size or 0 for item in chunk)
        progress(len(chunk))
    if inputs == 0:
        raise ArchiveError(f"{job.settings.source}: holds no images")
    plan = Plan(inputs, shards, size, names.repeated)
    write_atomically(done, (json.dumps(plan.__dict__) + "\n").encode())
    return plan


class _Names:
    """Passes each name once. Keeps eight bytes a name: enough to tell a hundred million apart almost surely."""

    def __init__(self) -> None:
        self.repeated = 0
        self._seen: set[int] = set()

    def once(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            digest = hashlib.blake2b(item.name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
            key = int.from_bytes(digest, "big")
            if key in self._seen:
                self.repeated += 1
                continue
            self._seen.add(key)
            yield item


def _file(job: Job, shard: int) -> Path:
    return job.folder / "plan" / f"{shard:08}.parquet"


def write_shard(job: Job, shard: int, items: Iterable[Item]) -> None:
    """Write which inputs a shard holds."""
    # Names are bytes on Unix; Parquet's strings are UTF-8.
    rows = [
        {
            "name": item.name.encode("utf-8", "surrogateescape").decode("latin-1"),
            "size": item.size,
            "modified": item.modified,
        }
        for item in items
    ]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    fill_atomically(_file(job, shard), lambda path: pq.write_table(table, path, compression="zstd"))


def read_shard(job: Job, shard: int) -> list[Item]:
    """Which inputs a shard holds, in order.

    Raises:
        ArchiveError: the plan is damaged.
    """
    try:
        rows = pq.read_table(_file(job, shard)).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise ArchiveError(f"{_file(job, shard)}: cannot be read ({error}); begin the job anew") from error
    return [
        Item(row["name"].encode("latin-1").decode("utf-8", "surrogateescape"), row["size"], row["modified"])
        for row in rows
    ]
