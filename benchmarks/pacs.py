"""The hospital gateway beside the same work without a hospital: ratios within one run.

    PYTHONPATH=tests python benchmarks/pacs.py [--images 40] [--workers 1] [--studies 2000]

Needs Orthanc (`make orthanc`) and, for a network of its own, root. Measured:

- rate of ``model.predict`` in a loop over the files, of :func:`make_objects` in a loop, and of ``pacs watch`` from the
  first to the last confirmed result, with as many workers;
- seconds from giving Orthanc an image to its confirmed results, at half of that rate;
- microseconds that a job costs the queue, among 100 and among 100,000;
- resident memory of all the gateway's processes, from a tenth of many small studies to their end.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydicom.dataset import Dataset

from common import write_result
from pneumoscope.cli.opening import read_model_package
from pneumoscope.model.classifier import Model
from pneumoscope.model.packaging import pack, unpack
from pneumoscope.pacs.guards import Guards
from pneumoscope.pacs.jobs import Arrival, Outgoing, State
from pneumoscope.pacs.objects import make_objects
from pneumoscope.pacs.queue import Queue
from support.dicom_tools import child_file, child_radiograph
from support.orthanc import loopback_only
from support.phantom import dicom_bytes
from support.site import Hospital, until

SIDE = 1900
"""Rows and columns of the large images: 7.2 MB, as of a detector of four megapixels."""


def large_file(number: int) -> bytes:
    """A CR file of 7.2 MB with grain, as no drawing has."""
    dataset = child_radiograph(number, side=SIDE)
    grain = np.random.default_rng(number).integers(0, 60, (SIDE, SIDE), dtype=np.uint16)
    dataset.PixelData = (np.frombuffer(dataset.PixelData, np.uint16).reshape(SIDE, SIDE) + grain).tobytes()
    return dicom_bytes(dataset)


def rate_in_a_loop(work: Any, files: Sequence[bytes], workers: int) -> float:
    """Files a second, one warm-up before."""
    work(files[0])
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, files))
    return len(files) / (time.perf_counter() - began)


def set_workers(hospital: Hospital, workers: int) -> None:
    """Give the gateway as many judging processes."""
    text = hospital.settings.read_text().replace("[judging]", f"[judging]\nworkers = {workers}")
    hospital.settings.write_text(text)


def jobs_done(hospital: Hospital) -> list[tuple[float, float]]:
    """When each committed image was received and committed."""
    queue = Queue(hospital.folder / "spool" / "queue.sqlite")
    try:
        return [(job.received, job.changed) for job in queue.recent(100_000) if job.state is State.COMMITTED]
    finally:
        queue.close()


def watch_rate(hospital: Hospital, files: Sequence[bytes]) -> float:
    """Results a second while Orthanc holds more than the gateway can take."""
    for content in files:
        hospital.orthanc.upload(content)
    until(lambda: hospital.counts()[State.COMMITTED] >= len(files), "all are committed", 1800)
    done = sorted(changed for _, changed in jobs_done(hospital))
    return (len(done) - 1) / (done[-1] - done[0])


def latencies(hospital: Hospital, files: Sequence[bytes], per_second: float) -> list[float]:
    """Seconds from giving Orthanc an image to its confirmed results, at a steady rate."""
    given: list[float] = []
    already = hospital.counts()[State.COMMITTED]

    def give(content: bytes) -> None:
        given.append(time.time())
        hospital.orthanc.upload(content)

    for content in files:
        thread = threading.Thread(target=give, args=(content,))
        thread.start()
        time.sleep(1 / per_second)
        thread.join()
    until(lambda: hospital.counts()[State.COMMITTED] >= already + len(files), "all are committed", 1800)
    done = sorted(jobs_done(hospital))[already:]
    return [changed - start for start, (_, changed) in zip(sorted(given), done, strict=True)]


def queue_cost(rows: int, jobs: int = 200) -> float:
    """Microseconds that adding, claiming, judging, sending and committing a job takes among so many that wait."""
    with tempfile.TemporaryDirectory() as folder:
        queue = Queue(Path(folder) / "queue.sqlite")
        waiting = [Arrival(f"1.{n}", "a" * 64, "1", "", "CR1", f"{n}.dcm") for n in range(rows + jobs)]
        queue.add(waiting[:rows])
        began = time.perf_counter()
        for number in range(jobs):
            queue.add([waiting[rows + number]])
            (job,) = queue.claim(State.RECEIVED, lease_seconds=60)
            objects = [Outgoing(f"2.{job.id}.{each}", "1", "x.dcm") for each in (1, 2)]
            queue.finish_judging(job, presence="absent", certainty=1.0, reasons=(), objects=objects)
            (job,) = queue.claim(State.JUDGED, lease_seconds=60)
            queue.finish(job, State.SENT)
            (job,) = queue.claim(State.SENT, lease_seconds=60)
            queue.await_commitment(job, f"3.{job.id}", 60)
            queue.committed(f"3.{job.id}", [each.sop_uid for each in objects], [], lambda _: 0.0)
        cost = 1e6 * (time.perf_counter() - began) / jobs
        queue.close()
        return cost


def memory_mb(hospital: Hospital) -> float:
    """Resident memory of all the gateway's processes."""
    assert hospital.gateway is not None
    parent = psutil.Process(hospital.gateway.pid)
    return float(sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True)))) / 1e6


def memory_growth(hospital: Hospital, studies: int) -> dict[str, float]:
    """Memory after a tenth of many small studies, and at their end."""
    hospital.start()
    images: list[Dataset] = [child_radiograph(number, side=128) for number in range(studies)]
    found = {}
    for name, first, last in (("tenth", 0, studies // 10), ("end", studies // 10, studies)):
        for start in range(first, last, 8):
            hospital.send_until_taken(images[start : min(start + 8, last)])
        until(lambda last=last: hospital.counts()[State.COMMITTED] >= last, "all are committed", 3600)  # type: ignore[misc]
        found[name] = memory_mb(hospital)
    return found


def main() -> None:
    """Measure and write ``results/pacs.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--studies", type=int, default=2000)
    options = parser.parse_args()
    package, _ = read_model_package(None)
    contract = dataclasses.replace(package.contract, typicality_limit=0.0)
    content = pack(package.graph, contract, package.card)
    model = Model(unpack(content, "benchmark"))
    files = [large_file(number) for number in range(options.images)]

    def objects(file: bytes) -> object:
        return make_objects(file, model, made=datetime(2026, 1, 1), guards=Guards())

    with tempfile.TemporaryDirectory() as folder, loopback_only():
        hospital = Hospital(Path(folder) / "watch", content, mode="watch", keep_time=True)
        other = Hospital(Path(folder) / "memory", content)
        try:
            set_workers(hospital, options.workers)
            hospital.orthanc.start()
            hospital.start()
            hospital.orthanc.upload(child_file(60_000))
            hospital.until_done(1)
            rates = {
                "predict": rate_in_a_loop(model.predict, files, options.workers),
                "make_objects": rate_in_a_loop(objects, files, options.workers),
                "watch": watch_rate(hospital, files),
            }
            half = [large_file(number) for number in range(10_000, 10_000 + options.images // 2)]
            seconds = latencies(hospital, half, rates["watch"] / 2)
            hospital.close()
            other.orthanc.start()
            memory = memory_growth(other, options.studies)
        finally:
            hospital.close()
            other.close()
    costs = {str(rows): queue_cost(rows) for rows in (100, 100_000)}
    p95 = statistics.quantiles(seconds, n=20)[-1]
    ratio = rates["watch"] / rates["predict"]
    write_result(
        "pacs",
        {
            "options": vars(options),
            "images_per_second": rates,
            "watch_over_predict": ratio,
            "watch_over_make_objects": rates["watch"] / rates["make_objects"],
            "seconds_to_confirmed_results": {"median": statistics.median(seconds), "p95": p95},
            "queue_microseconds_per_job": costs,
            "memory_mb": memory,
        },
        [
            ("Gateway following Orthanc beside `predict` in a loop, same files", f"{100 * ratio:.0f} %", "80 %"),
            ("Image in the archive to confirmed results at half load, p95", f"{p95:.1f} s", "below 3 s"),
            (
                "A job's cost to the queue among 100,000 beside among 100",
                f"{costs['100000'] / costs['100']:.2f} times",
                "no more",
            ),
        ],
    )


if __name__ == "__main__":
    main()
