"""For the tests of the web room: a model that needs no graph, and forms."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import Contract, OperatingPoint, Provenance, Quantization
from pneumoscope.model.prediction import ModelInfo
from pneumoscope.model.runtime import Outputs

CONTRACT = Contract(
    name="stand-in",
    version="0.0.1",
    graph_sha256="0" * 64,
    quantization=Quantization.FLOAT32,
    operating_points={"balanced": OperatingPoint(0.4, 0.95, 0.9), "sensitive": OperatingPoint(0.1, 0.99, 0.7)},
    default_operating_point="balanced",
    typicality_limit=0.5,
    parameters=0,
    provenance=Provenance("none", 0, "0" * 64, 1),
    subtypes=("NORMAL", "BACTERIAL", "VIRAL"),
)


class StandIn(Model):
    """Everything of a model but its graph: the probability is the brightness of the picture's left lung.

    ``gate``: a cleared event holds every inference until it is set.
    """

    def __init__(self) -> None:
        self.contract, self.card = CONTRACT, "# Stand-in"
        self.info = ModelInfo(CONTRACT.name, CONTRACT.version, "f" * 64)
        self.gate, self.threads = threading.Event(), set[str]()
        self.gate.set()

    def runtime(self) -> Any:
        return self

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(30)
        p = float(np.clip((pixels[90:150, 40:90].mean() - 60) / 60, 0, 1))
        heatmap = np.zeros((7, 7), np.float32)
        heatmap[4, 1] = 1
        return Outputs(p, np.array([1 - p, 0.7 * p, 0.3 * p], np.float32), heatmap, 0.9)


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NO_BROWSER = "Debian's packages chromium and chromium-driver are needed to test the pages"
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and not os.environ.get("CI"), reason=NO_BROWSER
)  # in CI the fixture `browser` fails instead

MakeClient = Callable[..., FlaskClient]


def quoted(name: str) -> str:
    """A file name as it stands between the quotes of a header."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


def form(*files: tuple[str, bytes], field: str = "file") -> dict[str, Any]:
    """Arguments of a post of form data: one part for each (name, content). Names go out as they are."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{field}"; filename="{quoted(name)}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return {"data": b"".join(parts) + b"--limit--\r\n", "content_type": "multipart/form-data; boundary=limit"}


def json_of(response: Any) -> Any:
    """The JSON of a response, which is checked by what the test does with it."""
    return response.json


def requested(browser: Any) -> list[str]:
    """The addresses that the browser's pages asked for since the last call; its own parts left out."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("chrome:", "data:", "blob:"))]


def dicom_sample(name: str) -> Path:
    """One of the radiographs of the pydicom-data package."""
    path = get_testdata_file(name, download=False)
    assert path, f"{name} comes with the pydicom-data package"
    return Path(path)


def post(port: int, body: Any, headers: dict[str, str], *, chunked: bool = False) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/api/v1/predict", body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def judge(port: int, content: bytes) -> int:
    return post(port, content, {"Content-Type": "application/octet-stream"})[0]


def raw(port: int, data: bytes) -> tuple[bytes, bytes]:
    """Send bytes, give head and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body
