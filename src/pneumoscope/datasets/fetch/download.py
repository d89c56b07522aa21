"""One file over HTTP: resumed where it broke off, checked before it counts as there."""

from __future__ import annotations

import errno
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pneumoscope.errors import DataError
from pneumoscope.files import sha256_of

CHUNK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 5
_RESERVE = 64 << 20  # bytes of the disk that stay free


@dataclass(frozen=True)
class Download:
    """What to get.

    Attributes:
        url: ``http`` or ``https``.
        sha256: of the file, 64 hex digits in lower case; ``None`` where not known.
        size: of the file in bytes; ``None`` where not known.
    """

    url: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class _Answer:
    """What the server is about to send.

    Attributes:
        begin: the first byte's position; 0 where the server sends the whole file.
        total: size of the whole file in bytes; ``None`` where it does not say.
    """

    begin: int
    total: int | None


class _BrokenOffError(Exception):
    """The transfer ended early; what has arrived is kept."""


def download(
    what: Download, target: Path, *, accept_unverified: bool = False, attempts: int = ATTEMPTS, pause: float = 2.0
) -> str:
    """Get a file, with a progress bar on standard error.

    The bytes go to ``target`` with ``.part`` appended and are moved into place once size and hash are right. A
    transfer that breaks off goes on where it stopped, now or at the next call, if the server can (HTTP ``Range``
    with ``If-Range``, so that a file that changed meanwhile starts anew).

    Args:
        what: the address and what the file must be.
        target: where the file will be.
        accept_unverified: take a file whose hash is not known in advance.
        attempts: how often in a row a transfer may end without one new byte.
        pause: seconds before the second attempt, doubled for each further one.

    Returns:
        The file's SHA-256.

    Raises:
        DataError: the server refuses, the transfer keeps breaking off, the disk is full, size or hash are
            wrong, or the hash is not known and ``accept_unverified`` was not given.
    """
    if not what.url.startswith(("http://", "https://")):
        raise DataError(f"{what.url}: only http and https addresses are fetched")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # fetched before, and what came after it failed
        digest = sha256_of(target)
        if digest == what.sha256 or (what.sha256 is None and accept_unverified):
            return digest
    part = target.with_name(target.name + ".part")
    _transfer_all(what, part, attempts, pause)
    size, digest = part.stat().st_size, sha256_of(part)
    if what.size is not None and size != what.size:
        _forget(part)
        raise DataError(f"{what.url}: {size} bytes arrived, {what.size} expected; it was deleted, try again")
    if what.sha256 is not None and digest != what.sha256:
        _forget(part)
        raise DataError(f"{what.url}: SHA-256 is {digest}, expected {what.sha256}; it was deleted, try again")
    if what.sha256 is None and not accept_unverified:
        raise DataError(
            f"{what.url}: arrived ({size} bytes, kept as {part}), but its SHA-256 is not known in advance: it is "
            f"{digest}. Compare it with a source you trust and give it as --sha256, or give --accept-unverified"
        )
    part.replace(target)
    _forget(part)
    return digest


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, less a reserve."""
    return shutil.disk_usage(folder).free - _RESERVE


def _transfer_all(what: Download, part: Path, attempts: int, pause: float) -> None:
    failures = 0
    while True:
        have = _size(part)
        try:
            _transfer(what, part)
            return
        except _BrokenOffError as error:
            failures = 0 if _size(part) > have else failures + 1
            if failures >= attempts:
                raise DataError(
                    f"{what.url}: {error}; {_size(part)} bytes have arrived and are kept, run it again to go on"
                ) from error
            time.sleep(pause * 2**failures if failures else 0)


def _transfer(what: Download, part: Path) -> None:
    """Send one request and write what comes."""
    have = _size(part)
    try:
        with urllib.request.urlopen(_request(what.url, part, have), timeout=TIMEOUT) as response:  # noqa: S310 - http(s) only, checked above
            answer = _answer(response, have)
            _remember(part, response)
            _check_disk(what, part, answer)
            _write(response, part, answer)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            if _total_of_range(error.headers.get("Content-Range")) == have:
                return  # everything had arrived
            _forget(part)  # longer than the file is now
            raise _BrokenOffError("the file on the server has changed") from error
        if error.code in (408, 429) or error.code >= 500:
            raise _BrokenOffError(f"the server answers {error.code} {error.reason}") from error
        raise DataError(f"{what.url}: the server answers {error.code} {error.reason}; check the address") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(part) from error
        reason = getattr(error, "reason", error)
        raise _BrokenOffError(f"the transfer broke off ({reason})") from error
    except http.client.HTTPException as error:
        raise _BrokenOffError(f"the transfer broke off ({error!r})") from error


def _request(url: str, part: Path, have: int) -> urllib.request.Request:
    headers = {"User-Agent": "pneumoscope", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := _remembered(part):
            headers["If-Range"] = validator
    return urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) only, checked by the caller


def _answer(response: Any, have: int) -> _Answer:
    length = response.headers.get("Content-Length")
    if response.status == 206:
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
        if found is None or int(found[1]) != have:
            raise _BrokenOffError("the server sent another range than it was asked for")
        return _Answer(have, _total_of_range(response.headers.get("Content-Range")))
    return _Answer(0, int(length) if length else None)


def _total_of_range(header: str | None) -> int | None:
    found = re.search(r"/(\d+)$", header or "")
    return int(found[1]) if found else None


def _check_disk(what: Download, part: Path, answer: _Answer) -> None:
    total = answer.total or what.size
    if total is None:
        return
    # A transfer that starts anew overwrites what is there, so that space counts as free.
    missing = total - _size(part)
    free = free_bytes(part.parent)
    if missing > free:
        raise DataError(
            f"{part.parent}: {max(free, 0) / 1e6:,.0f} MB are free, {missing / 1e6:,.0f} MB are needed; "
            "free some space or give another --out"
        )


def _write(response: Any, part: Path, answer: _Answer) -> None:
    written = answer.begin
    with (
        part.open("ab" if answer.begin else "wb") as stream,
        tqdm(total=answer.total, initial=written, desc="Downloading", unit="B", unit_scale=True) as bar,
    ):
        while chunk := response.read(CHUNK):
            stream.write(chunk)
            written += len(chunk)
            bar.update(len(chunk))
    if answer.total is not None and written < answer.total:
        raise _BrokenOffError(f"the transfer broke off after {written} of {answer.total} bytes")


def _disk_full(part: Path) -> DataError:
    return DataError(f"{part}: the disk is full; {_size(part)} bytes are kept, free some space and run it again")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, response: Any) -> None:
    """Keep what identifies this version of the file; weak validators may not be used with ``If-Range``."""
    tag = response.headers.get("ETag") or ""
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    _note(part).write_text(json.dumps({"validator": validator}), encoding="utf-8")


def _remembered(part: Path) -> str | None:
    try:
        value = json.loads(_note(part).read_text("utf-8"))["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
