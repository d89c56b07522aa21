"""What a job is begun with, and where everything of it lies in its output folder.

::

    DIR/job.json                          source, model, settings; what --resume compares
    DIR/plan/00000000.parquet             the inputs of each shard, as they were listed; complete.json when all are
    DIR/results/part-0000/00000000.parquet   the records of each shard: there means committed
    DIR/timings/...                       seconds of each input; apart, so that results are the same bytes in every run
    DIR/heatmaps/...                      where asked for
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pneumoscope.errors import ArchiveError
from pneumoscope.files import make_folder, write_atomically

SCHEMA_VERSION: Final = 1
"""Of the columns in ``archive.records``."""

SHARDS_A_PART: Final = 1000
"""Shards in one folder, so that no folder holds a million files."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a job's results are.

    Attributes:
        source: address, as given.
        model: path of the one-file model; ``None`` for the built-in one.
        model_sha256: hash of the model file, 64 hex digits.
        operating_point: name of a threshold; ``None`` for the model's default.
        where: filter on a manifest's columns.
        column: of a manifest, with the paths.
        limit: inputs taken from the start of the list; ``None`` for all.
        heatmaps: whether heatmaps are kept.
        shard_size: inputs in one shard.
        schema_version: of the results' columns.
    """

    source: str
    model: str | None
    model_sha256: str
    operating_point: str | None = None
    where: str | None = None
    column: str = "path"
    limit: int | None = None
    heatmaps: bool = False
    shard_size: int = 256
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Job:
    """A job and its folder.

    Attributes:
        folder: the output folder.
        settings: what it was begun with.
    """

    folder: Path
    settings: Settings

    def shard_file(self, kind: str, shard: int) -> Path:
        """Where a shard's table of one kind (``results``, ``timings``, ``heatmaps``) lies."""
        return self.folder / kind / f"part-{shard // SHARDS_A_PART:04}" / f"{shard:08}.parquet"

    def is_committed(self, shard: int) -> bool:
        """Whether a shard's results are on disk; they are written last and atomically."""
        return self.shard_file("results", shard).is_file()


def begin_job(folder: Path, settings: Settings, *, resume: bool) -> Job:
    """Begin a job, or go on with the one that the folder holds.

    Raises:
        ArchiveError: the folder holds a job and ``resume`` was not given, a job of other settings or of another
            model, or files that are no job.
    """
    marker = folder / "job.json"
    if marker.exists():
        if not resume:
            raise ArchiveError(f"{folder}: holds a job already; give --resume to go on with it, or another --out")
        begun = read_settings(folder)
        changed = [
            f"{field.name} was {getattr(begun, field.name)!r} and is {getattr(settings, field.name)!r}"
            for field in dataclasses.fields(Settings)
            if getattr(begun, field.name) != getattr(settings, field.name)
        ]
        if changed:
            raise ArchiveError(f"{folder}: was begun as another job ({'; '.join(changed)}); give another --out")
        return Job(folder, begun)
    if resume:
        raise ArchiveError(f"{folder}: holds no job to resume; leave --resume out to begin one")
    if folder.is_dir() and any(folder.iterdir()):
        raise ArchiveError(f"{folder}: is not empty and holds no job; give a new folder, nothing here is overwritten")
    make_folder(folder)
    write_atomically(marker, (json.dumps(dataclasses.asdict(settings), indent=2) + "\n").encode())
    return Job(folder, settings)


def read_settings(folder: Path) -> Settings:
    """The settings that a folder's job was begun with.

    Raises:
        ArchiveError: the folder holds no job, or one of a newer Pneumoscope.
    """
    marker = folder / "job.json"
    try:
        values: Any = json.loads(marker.read_text("utf-8"))
        if int(values["schema_version"]) > SCHEMA_VERSION:
            raise ArchiveError(f"{marker}: of a newer Pneumoscope; install it to go on")
        return Settings(**values)
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: holds no job of `pneumoscope archive score`") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArchiveError(f"{marker}: cannot be read ({error}); begin the job anew in another folder") from error
