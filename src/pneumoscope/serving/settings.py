"""What a server is told once, at its start."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pneumoscope.errors import UsageError

MEGABYTE: Final = 1_000_000
MAX_UPLOAD: Final = 64 * MEGABYTE
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """The settings of a server. Images are never written to disk, whatever is set here.

    Attributes:
        host: name or address to listen on.
        port: to listen on; 0 takes a free one.
        model_file: of the one-file model; ``None`` for the built-in one.
        workers: threads that decode and judge, each with an interpreter of its own.
        queue_size: images that may wait or be judged at once; what comes on top is answered with 503.
        max_upload: bytes that one request may hold.
        max_files: images that one request may hold.
        predict_timeout: seconds that one request may wait for its results.
        receive_timeout: seconds that a client may take to send one request.
        stop_timeout: seconds that accepted requests have to finish after SIGTERM.
        rate_limit: requests to the API from one address, as in ``"1200 per minute"``; ``None`` for no limit.
        token_hashes: SHA-256 of each accepted bearer token, 64 hex digits; empty for an open API.
        allowed_hosts: names that the ``Host`` header may carry; empty for any. Guards against DNS rebinding.
        log_scores: log what each image got (status, score, typicality, lung box, kinds of notes), without its name, its
            hash or anything of its patient, for ``pneumoscope monitor``.
        trusted_proxy: address of a reverse proxy whose ``X-Forwarded-For`` and ``-Proto`` are believed.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model_file: Path | None = None
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    queue_size: int = 64
    max_upload: int = MAX_UPLOAD
    max_files: int = 32
    predict_timeout: float = 60.0
    receive_timeout: float = 60.0
    stop_timeout: float = 30.0
    rate_limit: str | None = "1200 per minute"
    token_hashes: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxy: str | None = None
    log_scores: bool = False

    def __post_init__(self) -> None:
        """Refuse what no server could honour."""
        for name in ("workers", "queue_size", "max_upload", "max_files"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: {getattr(self, name)}, at least 1 needed")
        if self.max_files > self.queue_size:
            raise UsageError(f"max_files: {self.max_files}, at most the queue's {self.queue_size} can be taken at once")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that the ``Host`` header may carry: the given ones; on loopback, its names; else any (empty)."""
        return self.allowed_hosts or (LOOPBACK_NAMES if is_loopback(self.host) else ())


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def settings_from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings for a server that is started by another program, such as gunicorn.

    Reads ``PNEUMOSCOPE_MODEL``, ``_WORKERS``, ``_QUEUE_SIZE``, ``_RATE_LIMIT`` (empty for none), ``_TOKEN_FILE``,
    ``_LOG_SCORES`` (1 for yes) and ``_ALLOWED_HOSTS`` (separated by commas), each with the prefix ``PNEUMOSCOPE``. An
    open API must be asked for with ``PNEUMOSCOPE_INSECURE=1``, since the address that gunicorn listens on is not known
    here.

    Raises:
        UsageError: a number is none, or there is neither a token file nor leave to run without.
    """
    from pneumoscope.serving.http.tokens import read_token_file

    token_file = environment.get("PNEUMOSCOPE_TOKEN_FILE")
    if not token_file and environment.get("PNEUMOSCOPE_INSECURE") != "1":
        raise UsageError("set PNEUMOSCOPE_TOKEN_FILE, or PNEUMOSCOPE_INSECURE=1 for an API that anybody may call")
    model, hosts = environment.get("PNEUMOSCOPE_MODEL"), environment.get("PNEUMOSCOPE_ALLOWED_HOSTS", "")
    default = Settings()
    return Settings(
        model_file=Path(model) if model else None,
        workers=_number(environment, "PNEUMOSCOPE_WORKERS", default.workers),
        queue_size=_number(environment, "PNEUMOSCOPE_QUEUE_SIZE", default.queue_size),
        rate_limit=environment.get("PNEUMOSCOPE_RATE_LIMIT", default.rate_limit or "") or None,
        token_hashes=read_token_file(Path(token_file)) if token_file else (),
        allowed_hosts=tuple(name.strip() for name in hosts.split(",") if name.strip()),
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "")
    if value and not value.isdecimal():
        raise UsageError(f"{name}: {value!r} is not a whole number")
    return int(value) if value else default
