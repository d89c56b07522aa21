"""Small archives of drawn chests, jobs on them in processes of their own, and what they left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support import phantom

POISONS = '''
import os, signal, time
import fsspec
from fsspec.implementations.local import LocalFileSystem


class Poisoned(LocalFileSystem):
    """Local files, of which one ends the process that reads it and one is never read to its end."""

    protocol = "poisoned"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("poisoned://"))

    def cat_file(self, path, *args, **kwargs):
        if "kills" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hangs" in path:
            time.sleep(600)
        return super().cat_file(path, *args, **kwargs)


fsspec.register_implementation("poisoned", Poisoned)
'''
"""Python imports it at its start where its folder is on the path, so workers have it too."""


def make_archive(folder: Path, count: int = 12) -> Path:
    """A folder of drawn chests, one file that is no image and one that is cut short."""
    folder.mkdir(parents=True)
    for number in range(count):
        below = folder / f"{number % 3}"
        below.mkdir(exist_ok=True)
        (below / f"{number:03}.png").write_bytes(phantom.encode(phantom.chest_phantom(256, number)))
    (folder / "1" / "broken.jpeg").write_bytes(b"\xff\xd8\xff no more")
    (folder / "2" / "empty.png").write_bytes(b"")
    return folder


def command(source: object, out: Path, *options: object) -> list[str]:
    """The command line of a job with shards of three and local processes unless ``options`` say otherwise."""
    chosen = [str(option) for option in options]
    engine = [] if "--engine" in chosen else ["--engine", "local"]
    return [
        *(sys.executable, "-m", "pneumoscope", "archive", "score", str(source), "--out", str(out)),
        *("--shard-size", "3", *engine, *chosen),
    ]


def run_job(
    source: object, out: Path, *options: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a job to its end."""
    return subprocess.run(
        command(source, out, *options),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env={**os.environ, **(env or {})},
    )


def result_bytes(out: Path) -> dict[str, bytes]:
    """Every results file of a job, by its place."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted((out / "results").rglob("*.parquet"))}
