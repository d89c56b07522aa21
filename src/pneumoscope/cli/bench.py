"""``pneumoscope bench``: how fast a model is on this machine."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pneumoscope.cli.opening import FILE, model_option, open_model, read_model_package
from pneumoscope.errors import UsageError
from pneumoscope.machine import instruction_sets, processor_name
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.model.packaging import ModelPackage
    from pneumoscope.model.prediction import ModelInfo

WARM_UP: Final = 5
RUNS: Final = 100


@dataclass(frozen=True)
class Timing:
    """Speed of one inference.

    Attributes:
        threads: that it may use.
        runs: how many were timed.
        median_ms: milliseconds an image, decoding not included.
        p95_ms: milliseconds that 95 % of the runs stay below.
    """

    threads: int
    runs: int
    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Benchmark:
    """What ``bench`` measured.

    Attributes:
        model: which one.
        file_bytes: size of the model file.
        load_ms: milliseconds from the file to a model that is ready.
        timings: one for each number of threads.
        machine: processor, as the operating system calls it.
        instruction_sets: what its speed with 8 bits depends on.
        python: version.
    """

    model: ModelInfo
    file_bytes: int
    load_ms: float
    timings: tuple[Timing, ...]
    machine: str
    instruction_sets: tuple[str, ...]
    python: str


@click.command()
@click.argument("file", required=False, type=FILE, metavar="[FILE]")
@model_option
@click.option(
    "--threads", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True, help="May be repeated."
)
@click.option("--runs", type=click.IntRange(1), default=RUNS, show_default=True, help="Inferences timed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench(file: Path | None, model_file: Path | None, threads: tuple[int, ...], runs: int, as_json: bool) -> None:
    """Measure how fast a model FILE is on this machine: load time, and milliseconds an image.

    FILE and --model mean the same; without either it is the built-in model.
    """
    if file is not None and model_file is not None:
        raise UsageError(f"{file} and --model {model_file}: give one model, not two")
    result = measure(file or model_file, threads, runs)
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    machine = " ".join((result.machine, *(f"+{name}" for name in result.instruction_sets)))
    click.echo(f"{result.model.name} {result.model.version}, {result.file_bytes / 1e6:.2f} MB, on {machine}")
    click.echo(f"load       {result.load_ms:8.1f} ms")
    for timing in result.timings:
        click.echo(
            f"{timing.threads} thread{'s' if timing.threads > 1 else ' '}  {timing.median_ms:8.2f} ms an image "
            f"(median of {timing.runs}; 95 % below {timing.p95_ms:.2f} ms)"
        )
    click.echo(RESEARCH_USE_ONLY)


def measure(model_file: Path | None, threads: tuple[int, ...], runs: int) -> Benchmark:
    """Load a model and time its inference.

    Raises:
        ModelError: the file is not a sound one-file model.
    """
    open_model(model_file)  # imports LiteRT, which is not part of what is timed
    start = time.perf_counter()
    model = open_model(model_file)
    load_ms = 1e3 * (time.perf_counter() - start)
    package, size = read_model_package(model_file)
    timings = tuple(_time(package, count, runs) for count in threads)
    return Benchmark(
        model.info, size, load_ms, timings, processor_name(), instruction_sets(), platform.python_version()
    )


def _time(package: ModelPackage, threads: int, runs: int) -> Timing:
    import numpy as np

    from pneumoscope.model.runtime import LiteRTRuntime

    runtime = LiteRTRuntime(package.graph, threads=threads)
    # What the picture shows does not change the time.
    pixels = np.random.default_rng(0).integers(0, 256, (runtime.height, runtime.width), np.uint8)
    milliseconds = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        runtime.run(pixels)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    timed = milliseconds[WARM_UP:]
    return Timing(threads, runs, float(np.median(timed)), float(np.percentile(timed, 95)))
