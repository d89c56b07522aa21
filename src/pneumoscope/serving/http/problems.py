"""Every error of the web API as a problem document (RFC 9457, ``application/problem+json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, Response, g
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from pneumoscope.serving.logs import log_failure
from pneumoscope.serving.settings import MEGABYTE

PROBLEM_JSON: Final = "application/problem+json"
DOCUMENTATION: Final = "https://pneumoscope.readthedocs.io/en/latest/serving/"

TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be understood"),
    "no-image": (400, "The request holds no image"),
    "unauthorized": (401, "A valid bearer token is needed"),
    "forbidden": (403, "The request comes from another site"),
    "not-found": (404, "There is nothing at this address"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "request-timeout": (408, "The request came in too slowly"),
    "too-large": (413, "The request is too large"),
    "unsupported-type": (415, "The request's content type is not supported"),
    "misdirected": (421, "This server does not answer to that host name"),
    "invalid-parameter": (422, "A parameter is not valid"),
    "refused": (422, "The image cannot be judged"),
    "unreadable": (422, "The image cannot be read"),
    "rate-limited": (429, "Too many requests"),
    "internal": (500, "The server failed"),
    "overloaded": (503, "The server is busy"),
    "stopping": (503, "The server is stopping"),
    "timeout": (503, "The image was not judged in time"),
}
"""Kind of problem: its status and its title. The kind is also the heading in the documentation."""

_BY_STATUS: Final = {401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"} | {
    408: "request-timeout",
    413: "too-large",
    415: "unsupported-type",
    429: "rate-limited",
}


class ProblemError(Exception):
    """An error that is answered with a problem document.

    Args:
        kind: key of :data:`TITLES`.
        detail: what is wrong with this request and what to do.
        headers: to send along.
        members: extension members of the document.
    """

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.members = kind, detail, dict(headers or {}), members


def document(kind: str, detail: str, *, status: int | None = None, **members: Any) -> dict[str, Any]:
    """The members of a problem document."""
    usual, title = TITLES[kind]
    return {
        "type": f"{DOCUMENTATION}#{kind}",
        "title": title,
        "status": status or usual,
        "detail": detail,
        **members,
    }


def too_large(limit: int) -> str:
    """What a request of more than ``limit`` bytes is told."""
    return f"a request may hold at most {limit / MEGABYTE:g} MB; send fewer or smaller files"


def respond(
    kind: str, detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """A response that carries a problem document."""
    if request_id := g.get("request_id"):
        members["request_id"] = request_id
    body = document(kind, detail, status=status, **members)
    response = Response(json.dumps(body, ensure_ascii=False), status=body["status"], content_type=PROBLEM_JSON)
    response.headers.extend(dict(headers or {}))
    return response


def install(app: Flask) -> None:
    """Answer every error of an app with a problem document."""

    @app.errorhandler(ProblemError)
    def _problem(error: ProblemError) -> Response:
        return respond(error.kind, error.detail, headers=error.headers, **error.members)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or 500
        if status < 400 and error.response is not None:  # a redirect
            return Response(error.get_body(), status, error.get_headers())
        kind = _BY_STATUS.get(status, "internal" if status >= 500 else "bad-request")
        kept = {"Allow", "Retry-After", "WWW-Authenticate"}
        headers = {name: value for name, value in error.get_headers() if name in kept}
        detail = error.description or TITLES[kind][1]
        if kind == "too-large":
            detail = too_large(app.config["MAX_CONTENT_LENGTH"])
        return respond(kind, detail, status=status, headers=headers)

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        log_failure(error)
        return respond("internal", "An unexpected error; the server's log has more under this request id.")


def for_validation_error(error: ValidationError) -> Response:
    """Answer parameters that pydantic found wrong."""
    errors = [
        {"parameter": ".".join(map(str, entry["loc"])), "message": entry["msg"]}
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    detail = "; ".join(f"{entry['parameter']}: {entry['message']}" for entry in errors)
    return respond("invalid-parameter", detail, errors=errors)
