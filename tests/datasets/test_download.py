from __future__ import annotations

import errno
import hashlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pytest

from pneumoscope.datasets.fetch import download as room
from pneumoscope.datasets.fetch.download import Download, download
from pneumoscope.errors import DataError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the loopback server sends, how it fails, and what it was asked for."""

    content: bytes = CONTENT
    etag: str | None = '"v1"'
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes sent before the n-th answer breaks off
    statuses: list[int] = field(default_factory=list)  # of the first answers
    length: bool = True
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)  # Range, If-Range
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        site.requests.append((wanted, condition))
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        begin = 0
        if wanted and site.ranges and condition in (None, site.etag):
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if begin and begin >= len(site.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = site.content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(site.content) - 1}/{len(site.content)}")
        if site.length:
            self.send_header("Content-Length", str(len(body)))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of these tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    server = Server(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": served}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/archive.zip"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "archive.zip"


def get(site: Site, target: Path, **options: Any) -> str:
    what = Download(site.url, options.pop("sha256", DIGEST), options.pop("size", None))
    return download(what, target, pause=0, **options)


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_whole_transfer(site: Site, target: Path) -> None:
    assert get(site, target, size=len(CONTENT)) == DIGEST
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == ["archive.zip"]
    assert site.requests == [(None, None)]


def test_a_broken_transfer_goes_on_where_it_stopped(site: Site, target: Path) -> None:
    site.break_after = [1_000_000, 500_000]
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.requests == [(None, None), ("bytes=1000000-", '"v1"'), ("bytes=1500000-", '"v1"')]


def test_a_second_run_goes_on_where_the_first_gave_up(site: Site, target: Path) -> None:
    site.break_after = [700_000, 0, 0]
    with pytest.raises(DataError, match="700000 bytes have arrived and are kept, run it again"):
        get(site, target, attempts=2)
    assert not target.exists()
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.requests[-1] == ("bytes=700000-", '"v1"')


def bar_that_raises(error: BaseException) -> type:
    """A progress bar, moved after each chunk, in place of which something happens to the transfer."""

    class Bar:
        def __init__(self, **options: Any) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None: ...

        def update(self, count: int) -> None:
            raise error

    return Bar


def test_an_interrupted_run_keeps_what_it_has(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(room, "tqdm", bar_that_raises(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            get(site, target)
    part = target.with_name("archive.zip.part")
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    get(site, target)
    assert site.requests[-1] == (f"bytes={kept}-", '"v1"')
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_anew(site: Site, target: Path) -> None:
    site.ranges = False
    site.break_after = [1_000_000]
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert [wanted for wanted, _ in site.requests] == [None, "bytes=1000000-"]


def test_a_file_that_changed_meanwhile_is_not_mixed(site: Site, target: Path) -> None:
    site.break_after = [1_000_000, 0]
    with pytest.raises(DataError):
        get(site, target, attempts=1)
    site.content, site.etag = CONTENT[::-1], '"v2"'
    assert get(site, target, sha256=hashlib.sha256(site.content).hexdigest())
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("archive.zip.part").write_bytes(CONTENT + b"more")
    get(site, target)
    assert target.read_bytes() == CONTENT


def test_without_a_length_the_hash_still_decides(site: Site, target: Path) -> None:
    site.length = False
    assert get(site, target) == DIGEST
    site.break_after = [1_000]
    target.unlink()
    with pytest.raises(DataError, match="SHA-256 is"):
        get(site, target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 is {DIGEST}, expected {'0' * 64}; it was deleted"),
        ({"size": 5}, "3000000 bytes arrived, 5 expected; it was deleted"),
    ],
)
def test_wrong_contents_are_not_kept(site: Site, target: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        get(site, target, **options)
    assert leftovers(target) == []


def test_an_unknown_hash_is_told_and_must_be_accepted(site: Site, target: Path) -> None:
    with pytest.raises(DataError, match=f"it is {DIGEST}.* --accept-unverified"):
        get(site, target, sha256=None)
    assert not target.exists()
    assert get(site, target, sha256=DIGEST) == DIGEST  # nothing is transferred twice
    assert site.requests[-1] == (f"bytes={len(CONTENT)}-", '"v1"')
    target.unlink()
    assert get(site, target, sha256=None, accept_unverified=True) == DIGEST


def test_what_is_there_already_is_not_fetched_again(site: Site, target: Path) -> None:
    get(site, target)
    assert get(site, target) == DIGEST
    assert len(site.requests) == 1


def test_busy_servers_are_asked_again_and_refusals_are_not(site: Site, target: Path) -> None:
    site.statuses = [503, 429]
    assert get(site, target) == DIGEST
    target.unlink()
    site.statuses = [404]
    with pytest.raises(DataError, match="answers 404 Not Found; check the address"):
        get(site, target)
    assert len(site.requests) == 4


def test_no_server_and_other_schemes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Connection refused"):
        download(Download("http://127.0.0.1:9/x", DIGEST), tmp_path / "x", attempts=2, pause=0)
    secret = tmp_path / "secret"
    secret.write_text("s")
    with pytest.raises(DataError, match="only http and https"):
        download(Download(secret.as_uri(), DIGEST), tmp_path / "x")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_too_little_space_is_said_before_the_transfer(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**9, 0, (64 << 20) + 1_000_000))
    site.content = bytes(4_000_000)
    with pytest.raises(DataError, match="1 MB are free, 4 MB are needed; free some space"):
        get(site, target)
    assert not target.with_name("archive.zip.part").exists()


def test_a_disk_that_fills_up_keeps_what_arrived(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(room, "tqdm", bar_that_raises(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(DataError, match=r"the disk is full; \d+ bytes are kept"):
            get(site, target)
    assert len(site.requests) == 1
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.requests[1][0] is not None
