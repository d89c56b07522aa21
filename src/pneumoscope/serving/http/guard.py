"""What stands before and after every request: ids, hosts, origins, tokens, rate limit, headers, the access log."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from pneumoscope.serving import logs
from pneumoscope.serving.http import device
from pneumoscope.serving.http.problems import ProblemError
from pneumoscope.serving.http.tokens import is_known
from pneumoscope.serving.metrics import Metrics
from pneumoscope.serving.settings import Settings

# What reads or costs something. The page, its parts, the API's description and the health checks are for everybody.
PROTECTED: Final = ("/api/", "/metrics")
_FOR_ANY_HOST: Final = ("/healthz", "/readyz")
"""They tell nothing, and probes and load balancers ask by address."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def install(app: Flask, settings: Settings, metrics: Metrics) -> None:
    """Put the guards around an app, in the order in which they are asked."""

    @app.before_request
    def _begin() -> None:
        g.start = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()

    @app.after_request
    def _finish(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint not in ("static", device.ENDPOINT):
            response.headers["Cache-Control"] = "no-store"
        if response.status_code not in (429, 503):
            response.headers.pop("Retry-After", None)  # the limiter sends it with every response
        response.headers["X-Request-ID"] = g.get("request_id", "")
        _record(response, metrics)
        return response

    if settings.hosts:
        app.before_request(lambda: _check_host(settings.hosts))
    if settings.rate_limit:
        Limiter(
            get_remote_address,
            app=app,
            application_limits=[settings.rate_limit],
            application_limits_exempt_when=lambda: not request.path.startswith(PROTECTED),
            headers_enabled=True,
            storage_uri="memory://",
        )
    app.before_request(_check_origin)
    if settings.token_hashes:
        app.before_request(lambda: _check_token(settings.token_hashes))


def bearer_token(authorization: str) -> str | None:
    """The token of an ``Authorization`` header; ``None`` where it carries none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def new_request_id() -> str:
    """An id that tells one request from all others in the logs."""
    return secrets.token_hex(8)


def _check_host(hosts: tuple[str, ...]) -> None:
    """Refuse other names: a page elsewhere could point its own name at this machine and read what is served."""
    if request.path in _FOR_ANY_HOST:
        return
    name = (
        urlsplit(f"//{request.headers.get('Host', '')}").hostname if _is_host(request.headers.get("Host", "")) else ""
    )
    if name not in hosts:
        raise ProblemError(
            "misdirected", f"this server answers to {', '.join(hosts)}; allow others with --allowed-host"
        )


def _is_host(value: str) -> bool:
    return bool(re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", value))


def _check_origin() -> None:
    """Refuse posts that another site's page makes a browser send (CSRF). Programs send neither header."""
    if request.method in _SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("Host")
    if foreign:
        raise ProblemError("forbidden", "a page of another site sent this; only this server's own page may")


def _check_token(hashes: tuple[str, ...]) -> None:
    if not request.path.startswith(PROTECTED):
        return
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None or not is_known(token, hashes):
        raise ProblemError(
            "unauthorized",
            "send the header 'Authorization: Bearer TOKEN' with a token of this server",
            {"WWW-Authenticate": 'Bearer realm="pneumoscope"'},
        )


def _record(response: Response, metrics: Metrics) -> None:
    """Count and log by route, never by path: a path may hold anything."""
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE") else "other"
    start = g.get("start", time.perf_counter())
    metrics.requests.labels(method, route, response.status_code).inc()
    metrics.request_seconds.labels(route).observe(time.perf_counter() - start)
    logs.log(
        "request",
        request_id=g.get("request_id"),
        method=method,
        route=route,
        status=response.status_code,
        ms=logs.milliseconds_since(start),
        bytes_in=request.content_length,
        outcomes=g.get("outcomes", []),
    )
