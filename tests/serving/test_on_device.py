"""The page on the device: its files and headers, its own server, its place beside the server's page."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import cli
from pneumoscope.errors import UsageError
from pneumoscope.serving.http import device
from pneumoscope.serving.on_device import files
from pneumoscope.serving.on_device.server import PageServer
from support.web_kit import MakeClient


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page as Vite builds it: an index, a service worker, assets whose names hold a hash."""
    (tmp_path / "page" / "assets").mkdir(parents=True)
    for name, text in {"index.html": "<!doctype html>", "sw.js": "1", "assets/a-1234.wasm": "\0asm"}.items():
        (tmp_path / "page" / name).write_text(text, "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    return tmp_path / "page"


@contextmanager
def serving(page: Path) -> Iterator[http.client.HTTPConnection]:
    server = PageServer(files.page_files(page), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
        server.stop()
        thread.join(10)


def test_headers_let_the_page_speak_to_nobody_else_and_versions_never_mix(page: Path) -> None:
    table = files.page_files(page)
    assert set(table) == {"", "index.html", "sw.js", "assets/a-1234.wasm"}
    assert all("connect-src 'self'" in file.headers["Content-Security-Policy"] for file in table.values())
    assert table["assets/a-1234.wasm"].headers["Content-Type"] == "application/wasm"
    assert "immutable" in table["assets/a-1234.wasm"].headers["Cache-Control"]
    assert {table[name].headers["Cache-Control"] for name in ("", "sw.js")} == {"no-cache"}


def test_the_policy_is_the_one_that_the_page_itself_states() -> None:
    # The file that is built from; frame-ancestors is for headers only.
    html = (Path(__file__).resolve().parents[2] / "app" / "index.html").read_text("utf-8")
    header = files.SECURITY_HEADERS["Content-Security-Policy"].replace(" frame-ancestors 'none';", "")
    assert f'content="{header}"' in html


def test_its_server_gives_its_files_and_nothing_else(page: Path) -> None:
    with serving(page) as connection:
        for method, path, status, body in (
            ("GET", "/", 200, b"<!doctype html>"),
            ("HEAD", "/", 200, b""),
            ("GET", "/assets/a-1234.wasm?x=1", 200, b"\0asm"),
            ("GET", "/../secret.txt", 404, None),
            ("GET", "/%2e%2e/secret.txt", 404, None),
            ("GET", "//etc/passwd", 404, None),
            ("POST", "/", 501, None),
        ):
            connection.request(method, path)
            response = connection.getresponse()
            content = response.read()
            assert response.status == status, (method, path)
            assert body is None or content == body
            if status != 200:
                connection.close()


def test_the_command_says_what_to_do_without_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files.page_files, "__defaults__", (tmp_path,))
    result = CliRunner().invoke(cli, ["app", "--port", "0"])
    assert result.exit_code == 2
    assert "make app" in result.output
    with pytest.raises(UsageError):
        files.page_files(tmp_path)


def test_serve_links_to_the_page_where_it_is_built(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, page: Path
) -> None:
    monkeypatch.setattr(device, "is_built", lambda: False)
    bare = make_client()
    assert "/device/" not in bare.get("/").text
    assert bare.get("/device/").status_code == 404
    monkeypatch.setattr(device, "is_built", lambda: True)
    monkeypatch.setattr(device, "page_files", lambda: files.page_files(page))
    client = make_client()
    assert 'device/">On your device' in client.get("/").text
    index, asset = (client.get(f"/device/{name}", buffered=True) for name in ("", "assets/a-1234.wasm"))
    assert index.headers["Content-Security-Policy"] == files.SECURITY_HEADERS["Content-Security-Policy"]
    assert index.headers["Cache-Control"] == "no-cache"
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.data == b"\0asm"
    assert client.get("/device/../secret.txt").status_code == 404
    assert "/device/" not in str(client.get("/openapi.json").json)
