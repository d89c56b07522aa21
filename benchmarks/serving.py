"""How fast the web server is, held against this machine's own limits in the same run.

    python benchmarks/serving.py --images DIR [--requests N] [--flat N] [--keras] [--out FILE]

Measured, each with the same images:

- ``loop``: images a second of the model called in a loop on two threads, no server;
- ``served``: requests a second through ``pneumoscope serve``, two workers, four clients (goal: 85 % of ``loop``);
- ``latency``: p50 and p99 at 80 % of that rate, open loop, so a slow answer does not hold back later requests
  (goal: p99 at most 3 times p50);
- ``keras``: requests a second of Flask calling Keras ``model.predict`` per request (goal: ``served`` at least 8 times
  this); needs the ``train`` extra and an untrained network of the seed's architecture, whose speed is the same;
- ``memory``: the server's resident memory after 1,000 requests and at the end of ``--flat`` requests (goal: flat).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CLIENTS = 4
SERVE = "from pneumoscope.cli.main import main; main()"
KERAS = """
import io, sys, numpy, flask, waitress
from PIL import Image
from pneumoscope.training.networks.seed_cnn import build_seed_cnn
app, model = flask.Flask("seed"), build_seed_cnn(classes=2, size=224)
@app.post("/api/v1/predict")
def predict():
    image = Image.open(io.BytesIO(flask.request.get_data())).convert("L").resize((224, 224))
    logits = model.predict(numpy.asarray(image, "float32")[None, :, :, None], verbose=0)["logits"]
    return {"p": float(1 / (1 + numpy.exp(-logits[0, 0])))}
server = waitress.create_server(app, host="127.0.0.1", port=0, threads=4)
print('{"port": %d}' % server.effective_port, file=sys.stderr, flush=True)
server.run()
"""

Send = Callable[[bytes], int]


@contextmanager
def server(code: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """Start a server process; give its port and process id."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stderr is not None
        port = next(json.loads(line)["port"] for line in child.stderr if line.startswith("{"))
        drain = threading.Thread(target=lambda: [None for _ in child.stderr or ()], daemon=True)
        drain.start()
        try:
            yield port, child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            drain.join(30)


def sender(port: int) -> Send:
    """A function that posts one image over a connection of the calling thread."""
    local = threading.local()

    def send(image: bytes) -> int:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        local.connection.request("POST", "/api/v1/predict", image, {"Content-Type": "application/octet-stream"})
        response = local.connection.getresponse()
        response.read()
        return int(response.status)

    return send


def rate(work: Callable[[bytes], object], images: list[bytes], count: int, threads: int) -> float:
    """Images a second, with a warm-up."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, (images[i % len(images)] for i in range(4 * threads))))
        start = time.perf_counter()
        list(pool.map(work, (images[i % len(images)] for i in range(count))))
        return count / (time.perf_counter() - start)


def latency(send: Send, images: list[bytes], count: int, per_second: float) -> dict[str, float]:
    """Milliseconds from when each request was due to its answer; requests are due at random, as from many people."""
    due = np.cumsum(np.random.default_rng(0).exponential(1 / per_second, count))
    start = time.perf_counter()

    def one(index: int) -> float:
        time.sleep(max(0.0, start + due[index] - time.perf_counter()))
        send(images[index % len(images)])
        return 1e3 * (time.perf_counter() - start - float(due[index]))

    with ThreadPoolExecutor(32) as pool:
        p50, p99 = np.percentile(list(pool.map(one, range(count))), [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "ratio": float(p99 / p50)}


def resident_mebibytes(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(images: list[bytes], requests: int, flat: int, keras: bool) -> dict[str, Any]:
    """Run every part."""
    from pneumoscope.model import load_model

    model = load_model()
    result: dict[str, Any] = {"images": len(images), "requests": requests, "cores": os.cpu_count()}
    result["machine"], result["python"] = platform.processor() or platform.machine(), platform.python_version()
    result["model"] = {"name": model.info.name, "version": model.info.version, "sha256": model.info.sha256}
    result["loop_per_second"] = rate(model.predict, images, requests, 2)
    with server(SERVE, "serve", "--port", "0", "--workers", "2", "--rate-limit", "none") as (port, pid):
        send = sender(port)
        result["statuses"] = sorted({send(image) for image in images})
        result["served_per_second"] = rate(send, images, requests, CLIENTS)
        result["latency_at_80_percent"] = latency(send, images, requests, 0.8 * result["served_per_second"])
        if flat:
            rate(send, images, 1000, CLIENTS)
            before = resident_mebibytes(pid)
            rate(send, images, flat, CLIENTS)
            after = resident_mebibytes(pid)
            result["memory"] = {"requests": flat, "mebibytes_before": before, "mebibytes_after": after}
    result["served_by_loop"] = result["served_per_second"] / result["loop_per_second"]
    if keras:
        with server(KERAS) as (port, _):
            result["keras_per_second"] = rate(sender(port), images, max(20, requests // 10), CLIENTS)
        result["served_by_keras"] = result["served_per_second"] / result["keras_per_second"]
    return result


def main() -> None:
    """Read the arguments, measure, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of radiographs (JPEG)")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--flat", type=int, default=20_000, help="requests of the memory run; 0 leaves it out")
    parser.add_argument("--keras", action="store_true", help="also the seed's way; needs the 'train' extra")
    parser.add_argument("--out", type=Path, help="JSON file; standard output if not given")
    arguments = parser.parse_args()
    images = [path.read_bytes() for path in sorted(arguments.images.rglob("*.jp*g"))[:200]]
    if not images:
        parser.error(f"{arguments.images}: no JPEG files in it")
    text = json.dumps(measure(images, arguments.requests, arguments.flat, arguments.keras), indent=2) + "\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
