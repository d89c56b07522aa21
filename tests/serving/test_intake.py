"""What clients cost before a request is whole: memory, places, and what a proxy might misread."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pneumoscope.errors import UsageError
from pneumoscope.serving.gradio_page import plain, read_auth_file
from pneumoscope.serving.http import channel, server
from pneumoscope.serving.http.server import WebServer
from pneumoscope.serving.http.tokens import new_token
from support.web_kit import MakeClient, StandIn, json_of, judge, raw

POST = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"


def test_a_body_without_a_token_is_not_taken(serve: Callable[..., WebServer]) -> None:
    token, digest = new_token()
    port = serve(token_hashes=(digest,)).port
    head, body = raw(port, POST + b"Content-Length: 60000000\r\n\r\n" + bytes(1000))
    assert head.startswith(b"HTTP/1.1 401") and b"www-authenticate: bearer" in head.lower() and b"Authorization" in body
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(POST + f"Authorization: Bearer {token}\r\nContent-Length: 600\r\n\r\n".encode() + bytes(10))
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):  # it waits for the rest
            connection.recv(100)


def test_bodies_together_are_bounded_and_the_longest_silent_is_let_go(
    serve: Callable[..., WebServer], chest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BODIES", 2)
    port = serve(max_upload=2**20).port
    connections = []
    for _ in range(4):
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + bytes(900_000))
        connections.append(connection)
        time.sleep(0.3)
    assert connections[0].recv(100).startswith(b"HTTP/1.1 503")
    assert judge(port, chest) == 200
    connections[3].sendall(bytes(100_000))  # the last one may finish
    assert connections[3].recv(100).startswith(b"HTTP/1.1 4")
    for connection in connections:
        connection.close()


def test_slow_clients_do_not_keep_others_out(serve: Callable[..., WebServer], chest: bytes) -> None:
    port = serve(queue_size=2, max_files=2).port
    slow = []
    for _ in range(140):
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(b"POST /api/v1/pre")
        slow.append(connection)
    start = time.monotonic()
    assert judge(port, chest) == 200
    assert time.monotonic() - start < 8
    for connection in slow:
        connection.close()


def test_headers_must_come_soon(serve: Callable[..., WebServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "HEADER_SECONDS", 0.5)
    head, body = raw(serve().port, b"POST /api")
    assert head.startswith(b"HTTP/1.0 408") and b"0.5 seconds" in body


def test_length_and_transfer_encoding_together_close_the_connection(serve: Callable[..., WebServer]) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    head, body = raw(serve().port, POST + both + smuggled)
    assert head.lower().count(b"connection: close") == 1
    assert b"alive" not in body


def test_a_stop_keeps_its_time(serve: Callable[..., WebServer], model: StandIn, chest: bytes) -> None:
    model.gate.clear()
    running = serve(stop_timeout=0.5)

    def send() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            judge(running.port, chest)

    client = threading.Thread(target=send)
    client.start()
    time.sleep(1)
    start = time.monotonic()
    running.stop()
    client.join(20)
    assert time.monotonic() - start < 5
    model.gate.set()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_to_any_host(make_client: MakeClient, path: str) -> None:
    client = make_client(allowed_hosts=("xray.example",))
    assert client.get(path, headers={"Host": "10.42.8.201:8000"}).status_code == 200
    assert client.get("/", headers={"Host": "10.42.8.201:8000"}).status_code == 421


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_compressed_bodies_are_415(client: FlaskClient, chest: bytes, encoding: str) -> None:
    kind = {"Content-Type": "application/octet-stream", "Content-Encoding": encoding}
    response = client.post("/api/v1/predict", data=chest, headers=kind)
    assert response.status_code == 415 and "unpacked" in json_of(response)["detail"]
    assert (
        client.post("/api/v1/predict", data=chest, headers={**kind, "Content-Encoding": "identity"}).status_code == 200
    )


class Panic(BaseException):
    """What a library in another language throws."""


def test_a_panic_is_a_500_and_the_workers_live(
    client: FlaskClient, model: StandIn, chest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = model.run

    def panic(_: object) -> None:
        raise Panic

    monkeypatch.setattr(model, "run", panic)
    kind = {"Content-Type": "application/octet-stream"}
    for _ in range(5):
        response = client.post("/api/v1/predict", data=chest, headers=kind)
        assert response.status_code == 500 and "unexpected error" in json_of(response)["detail"]
    monkeypatch.setattr(model, "run", run)
    assert client.post("/api/v1/predict", data=chest, headers=kind).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_name_their_parts_relative_to_themselves(client: FlaskClient, path: str) -> None:
    text = client.get(path).text
    assert not [piece for piece in text.split() if piece.startswith(('href="/', 'src="/', 'action="/'))]
    assert 'href="static/page.css"' in text and 'href="./"' in text


def test_what_a_header_says_is_no_markdown() -> None:
    shown = plain("view <img src=x> [click](http://evil.example) **bold** `code`\n# title")
    assert not set("<>[]*`#&") & set(shown.replace("&#", "")) and "&#58;//" in shown
    assert plain("text.png: not a radiograph") == "text.png: not a radiograph"


def test_user_names_and_passwords(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_bytes(b"\xef\xbb\xbf# users\r\nann:s:ecret\r\n\r\n")
    assert read_auth_file(file) == [("ann", "s:ecret")]
    for content in ("", "ann", ":x"):
        file.write_text(content)
        with pytest.raises(UsageError):
            read_auth_file(file)
