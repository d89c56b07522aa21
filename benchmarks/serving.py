"""How fast the web server is, held against this machine's own limits in the same run.

    PNEUMOSCOPE_DATA=DATA python benchmarks/serving.py [--trial]

Measured for the built-in model and for the small one, ``models/pneumonet.tflite``, each with the same native-size
radiographs in one order drawn at random (the folders hold first the normal ones, which are larger and take
twice as long), everything three times in turn and the medians taken:

- ``loop``: images a second of the model called in a loop on two threads, no server;
- ``served``: requests a second of ``pneumoscope serve`` with two workers, asked by four clients (goal: 85 % of
  ``loop``). Clients and server share the machine;
- ``keras``: requests a second of the seed's way, Flask calling Keras ``model.predict`` for each request (goal:
  ``served`` at least 8 times this). Its network is untrained, which changes no speed;
- ``latency``: p50 and p99 at 80 % of ``served``, with requests due at even intervals (goal: p99 at most 3 times p50)
  and with requests due at random, as from many people who know nothing of each other. A late answer does not hold
  back later requests;
- ``ideal``: the same if the model's own time for each image were all there is: a queue before two workers, reckoned.

``--trial`` does a twentieth of it and writes nothing. Needs the ``web`` and ``train`` extras, and Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from common import write_result
from pneumoscope.model.classifier import load_model

CLIENTS, WORKERS, ROUNDS, LOAD = 4, 2, 3, 0.8
REQUESTS, KERAS_REQUESTS, LATENCY_REQUESTS = 1000, 100, 1000
SMALL = Path(__file__).resolve().parents[1] / "models" / "pneumonet.tflite"
SHARE_GOAL, KERAS_GOAL, TAIL_GOAL = 0.85, 8, 3

SERVE = "from pneumoscope.cli.main import main; main()"
KERAS = """
import io, sys, numpy, flask, waitress
from PIL import Image
from pneumoscope.training.networks.baseline_cnn import build_baseline_cnn
app, model = flask.Flask("seed"), build_baseline_cnn(classes=2, size=224)
@app.post("/api/v1/predict")
def predict():
    image = Image.open(io.BytesIO(flask.request.get_data())).convert("L").resize((224, 224))
    logits = model.predict(numpy.asarray(image, "float32")[None, :, :, None], verbose=0)["logits"]
    return {"p": float(1 / (1 + numpy.exp(-logits[0, 0])))}
server = waitress.create_server(app, host="127.0.0.1", port=0, threads=4)
print('{"port": %s}' % server.effective_port, file=sys.stderr, flush=True)
server.run()
"""

Send = Callable[[bytes], int]


@contextmanager
def server(code: str, *arguments: str) -> Iterator[tuple[Send, int]]:
    """Start a server process; give a function that posts an image to it, and its process id."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stderr is not None
        said: list[str] = []
        for line in child.stderr:
            said.append(line)
            if line.startswith("{"):
                break
        else:
            raise RuntimeError("the server did not start:\n" + "".join(said))
        port = json.loads(line)["port"]
        drain = threading.Thread(target=lambda: [None for _ in child.stderr or ()], daemon=True)
        drain.start()
        try:
            yield sender(port), child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            drain.join(30)


def our_server(*options: str) -> Any:
    """Start ``pneumoscope serve``."""
    return server(SERVE, "serve", "--port", "0", "--workers", str(WORKERS), "--rate-limit", "none", *options)


def sender(port: int) -> Send:
    """A function that posts one image over a connection of the calling thread."""
    local = threading.local()

    def send(image: bytes) -> int:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        local.connection.request("POST", "/api/v1/predict", image, {"Content-Type": "application/octet-stream"})
        response = local.connection.getresponse()
        response.read()
        if response.status not in (200, 422):
            raise RuntimeError(f"answered {response.status}")
        return int(response.status)

    return send


def rate(work: Callable[[bytes], object], images: Sequence[bytes], count: int, threads: int) -> float:
    """Images a second, after a warm-up."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, (images[i % len(images)] for i in range(4 * threads))))
        start = time.perf_counter()
        list(pool.map(work, (images[i % len(images)] for i in range(count))))
        return count / (time.perf_counter() - start)


def latency(send: Send, images: Sequence[bytes], gaps: Sequence[float]) -> dict[str, float]:
    """Milliseconds from when each request was due to its answer.

    Args:
        send: posts an image.
        images: taken in turn.
        gaps: seconds between one request and the next.
    """
    due = np.cumsum(gaps)
    start = time.perf_counter()

    def one(index: int) -> float:
        time.sleep(max(0.0, start + due[index] - time.perf_counter()))
        send(images[index % len(images)])
        return 1e3 * (time.perf_counter() - start - float(due[index]))

    with ThreadPoolExecutor(32) as pool:
        p50, p99 = np.percentile(list(pool.map(one, range(len(due)))), [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "p99_by_p50": float(p99 / p50)}


def ideal_latency(
    seconds: Sequence[float], gaps: Sequence[float], workers: int = WORKERS, load: float = LOAD
) -> dict[str, float]:
    """p99 over p50 of one queue before so many workers that lose no time, at this load.

    Args:
        seconds: that each image takes a worker; images taken in turn.
        gaps: between one request and the next, in any unit.
        workers: how many.
        load: share of what the workers can do that is asked of them.
    """
    scale = statistics.mean(seconds) / (load * workers * statistics.mean(gaps))
    free, due, taken = [0.0] * workers, 0.0, []
    for index, gap in enumerate(gaps):
        due += gap * scale
        first = min(range(workers), key=free.__getitem__)
        free[first] = max(due, free[first]) + seconds[index % len(seconds)]
        taken.append(free[first] - due)
    p50, p99 = np.percentile(taken, [50, 99])
    return {"p99_by_p50": float(p99 / p50)}


def seconds_an_image(predict: Callable[[bytes], object], images: Sequence[bytes]) -> list[float]:
    """Of each image on one thread, the median of three."""

    def once(image: bytes) -> float:
        begin = time.perf_counter()
        predict(image)
        return time.perf_counter() - begin

    return [statistics.median(once(image) for _ in range(3)) for image in images]


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure, over the rounds."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def measure_rates(file: Path | None, images: Sequence[bytes], scale: float) -> dict[str, Any]:
    """Loop, server and the seed's way in turn; then the latency at 80 % of the server's rate.

    Args:
        file: the model, or None for the built-in one.
        images: taken in turn.
        scale: share of the requests to make, 0 to 1.
    """
    model, count = load_model(file), int(REQUESTS * scale)
    options = () if file is None else ("--model", str(file))
    with our_server(*options) as (send, _), server(KERAS) as (ask_keras, _):
        judged = sum(send(image) == 200 for image in images)
        rounds = [
            {
                "loop": rate(model.predict, images, count, WORKERS),
                "served": rate(send, images, count, CLIENTS),
                "keras": rate(ask_keras, images, max(5, int(KERAS_REQUESTS * scale)), CLIENTS),
            }
            for _ in range(ROUNDS)
        ]
    speeds = medians(rounds)
    late, gap = int(LATENCY_REQUESTS * scale), 1 / (LOAD * speeds["served"])
    evenly = [gap] * late
    randomly = [np.random.default_rng(turn).exponential(gap, late).tolist() for turn in range(ROUNDS)]
    with our_server(*options) as (send, _):
        rate(send, images, count // 4, CLIENTS)
        even, random = [], []
        for gaps in randomly:
            even.append(latency(send, images, evenly))
            random.append(latency(send, images, gaps))
    seconds = seconds_an_image(model.predict, images)
    return {
        "model": dataclasses.asdict(model.info),
        "judged": judged,
        "per_second": speeds,
        "served_by_loop": speeds["served"] / speeds["loop"],
        "served_by_keras": speeds["served"] / speeds["keras"],
        "latency_even": medians(even),
        "latency_random": medians(random),
        "ideal_even": ideal_latency(seconds, evenly),
        "ideal_random": medians([ideal_latency(seconds, gaps) for gaps in randomly]),
    }


def headlines(rates: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What README shows of one model: (what, measured, goal)."""
    name = f"`{rates['model']['name']}`"
    return [
        (
            f"web server with {name}, share of the model called in a loop on two threads",
            f"{rates['served_by_loop']:.0%}",
            f"at least {SHARE_GOAL:.0%}",
        ),
        (
            f"web server with {name}, against Flask calling the brief's network in Keras for each request",
            f"{rates['served_by_keras']:.1f} times the requests a second",
            f"at least {KERAS_GOAL} times",
        ),
        (
            f"{name}: p99 over p50 at 80 % load, requests at even intervals",
            tail(rates, "even"),
            f"at most {TAIL_GOAL}",
        ),
        (
            f"{name}: p99 over p50 at 80 % load, requests at random",
            tail(rates, "random"),
            f"at most {TAIL_GOAL}",
        ),
    ]


def tail(rates: dict[str, Any], arrivals: str) -> str:
    """p99 over p50, and what an ideal queue would have."""
    reached, ideal = (rates[f"{kind}_{arrivals}"]["p99_by_p50"] for kind in ("latency", "ideal"))
    return f"{reached:.1f} (two workers that lose no time: {ideal:.1f})"


def main() -> None:
    """Measure everything and write ``results/serving.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial", action="store_true", help="a twentieth of it; writes nothing")
    scale = 0.05 if parser.parse_args().trial else 1.0
    data = Path(os.environ["PNEUMOSCOPE_DATA"])
    native = [path.read_bytes() for path in sorted((data / "native").rglob("*.jpeg"))]
    np.random.default_rng(0).shuffle(native)
    figures: dict[str, Any] = {"images": len(native), "workers": WORKERS, "clients": CLIENTS}
    figures["models"] = models = [measure_rates(file, native, scale) for file in (None, SMALL)]
    headline = [line for rates in models for line in headlines(rates)]
    if scale < 1:
        print(json.dumps(figures, indent=2), *headline, sep="\n")
    else:
        write_result("serving", figures, headline)


if __name__ == "__main__":
    main()
