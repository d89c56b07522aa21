"""The real server on a socket: limits, slow and vanishing clients, and the graceful stop."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pneumoscope.serving.http.server import WebServer
from pneumoscope.serving.http.tokens import new_token
from support.web_kit import StandIn, form, judge, post, raw

Address = tuple[str, int]


def test_form_and_raw_body_over_a_socket(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve().port
    request = form(("x.png", chest))
    status, answer = post(port, request["data"], {"Content-Type": request["content_type"]})
    assert (status, answer["results"][0]["status"]) == (200, "ok")
    assert judge(port, chest) == 200


def test_a_body_of_65_mb_is_refused_before_it_is_read(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve().port
    head, body = raw(port, b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65000000\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["type"].endswith("#too-large")
    assert "64 MB" in problem["detail"]
    assert f"x-request-id: {problem['request_id']}".encode() in head.lower()
    assert judge(port, chest) == 200


def test_a_chunked_body_without_end_is_cut_off(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve(max_upload=2**20).port
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        with pytest.raises(OSError):
            while sent < 100 * 2**20:
                connection.sendall(chunk)
                sent += 65536
    assert sent < 50 * 2**20
    assert judge(port, chest) == 200


def test_a_chunked_body_within_the_limit_is_judged(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve().port
    pieces = (chest[i : i + 1000] for i in range(0, len(chest), 1000))
    headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    assert post(port, pieces, headers, chunked=True)[0] == 200


def test_a_chunked_body_beyond_the_limit_is_413(serve: Callable[..., WebServer]) -> None:
    port = serve(max_upload=2**16).port
    body = b"".join(b"400\r\n" + bytes(1024) + b"\r\n" for _ in range(65)) + b"0\r\n\r\n"
    head, answer = raw(
        port, b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    assert head.startswith(b"HTTP/1.1 413")
    assert json.loads(answer)["type"].endswith("#too-large")


@pytest.mark.parametrize("start", [b"POST /api", b"POST /api/v1/predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabc"])
def test_a_client_that_trickles_is_answered_408(serve: Callable[..., WebServer], chest: bytes, start: bytes) -> None:
    port = serve(receive_timeout=1.0).port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(start)
        answer, begin = b"", time.monotonic()
        connection.settimeout(0.1)
        while b"}" not in answer and time.monotonic() - begin < 10:
            try:
                answer += connection.recv(65536)
            except TimeoutError:
                connection.sendall(b"x")
        took = time.monotonic() - begin
    assert answer.startswith((b"HTTP/1.1 408", b"HTTP/1.0 408"))
    assert b"#request-timeout" in answer
    assert 0.9 < took < 5
    assert judge(port, chest) == 200


def test_slow_clients_do_not_hold_up_others(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve().port
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for connection in slow:
        connection.sendall(b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
    start = time.monotonic()
    assert judge(port, chest) == 200
    assert time.monotonic() - start < 5
    for connection in slow:
        connection.close()


def test_a_client_that_leaves_midway_harms_nobody(
    serve: Callable[..., WebServer], model: StandIn, chest: bytes
) -> None:
    port = serve().port
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    model.gate.clear()
    for body in (chest[:100], chest):  # while sending; while waiting for the answer
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(head % len(chest) + body)
        connection.close()
    model.gate.set()
    assert judge(port, chest) == 200


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n\r\n",
        (b"GET / HTTP/1.1\r\nX: ").ljust(32 * 1024, b"a"),
    ],
)
def test_what_is_no_http_gets_a_problem_document(serve: Callable[..., WebServer], chest: bytes, data: bytes) -> None:
    port = serve().port
    head, body = raw(port, data)
    assert head.split()[1].startswith(b"4")
    assert json.loads(body)["status"] == int(head.split()[1])
    assert judge(port, chest) == 200


def test_the_stop_finishes_requests_that_were_taken(
    serve: Callable[..., WebServer], model: StandIn, chest: bytes
) -> None:
    server = serve()
    model.gate.clear()
    statuses: list[int] = []
    waiting = [threading.Thread(target=lambda: statuses.append(judge(server.port, chest))) for _ in range(6)]
    for thread in waiting:
        thread.start()
    end = time.monotonic() + 10
    while len(model.threads) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)  # all six are in
    server.stop()
    time.sleep(0.6)
    with pytest.raises(OSError):
        judge(server.port, chest)
    model.gate.set()
    for thread in waiting:
        thread.join(20)
    assert statuses == [200] * 6


def test_the_command_serves_and_ends_on_sigterm(chest: bytes) -> None:
    command = [sys.executable, "-m", "pneumoscope.cli.main", "serve"]
    command[1:3] = ["-c", "from pneumoscope.cli.main import main; main()"]
    with subprocess.Popen(
        [*command, "--port", "0"], stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(json.loads(line)["port"] for line in lines if line.startswith("{"))
        assert post(port, chest, {"Content-Type": "image/png"})[0] in (200, 422)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(20) == 0
    assert '"event": "stopped", "unfinished": 0' in rest


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")
def test_gunicorn_runs_the_app_with_settings_of_the_environment(chest: bytes, tmp_path: Path) -> None:
    token, digest = new_token()
    (tmp_path / "tokens.txt").write_text(digest)
    socket_file = tmp_path / "gunicorn.sock"
    command = [sys.executable, "-m", "gunicorn", "--threads", "4", "--bind", f"unix:{socket_file}"]
    environment = {"PNEUMOSCOPE_TOKEN_FILE": str(tmp_path / "tokens.txt"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "pneumoscope.serving.http.wsgi:app"], stderr=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:
        assert process.stderr is not None
        assert any("Booting worker" in line for line in iter(process.stderr.readline, ""))
        for given, expected in ((token, {200, 422}), ("other", {401})):
            with closing(http.client.HTTPConnection("localhost", timeout=30)) as connection:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(socket_file))
                headers = {"Authorization": f"Bearer {given}", "Content-Type": "image/png"}
                connection.request("POST", "/api/v1/predict", chest, headers)
                assert connection.getresponse().status in expected
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(20) == 0


def test_the_documents_python_example_runs(serve: Callable[..., WebServer], ill_chest: bytes, tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    example = document.split("```python\n")[1].split("```")[0].replace(":8000/", f":{serve().port}/")
    (tmp_path / "radiograph.dcm").write_bytes(ill_chest)
    run = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.stdout.startswith("PNEUMONIA 0."), run.stderr
