"""A connection of the web server: what a client may hold and for how long, and answers to what never reaches the app.

A client costs memory as soon as it sends a body, and a place as soon as it connects, long before a token or a rate
limit is looked at. So headers must be complete within seconds, a body without a valid token is not taken, and where all
bodies together exceed their bound, or nearly all places are taken, those who have been silent longest are let go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error

from pneumoscope.serving import logs
from pneumoscope.serving.http.guard import PROTECTED, SECURITY_HEADERS, bearer_token, new_request_id
from pneumoscope.serving.http.problems import PROBLEM_JSON, document, too_large
from pneumoscope.serving.http.tokens import is_known

HEADER_SECONDS: Final = 10.0
"""That a client may take from connecting, or from its first byte, to the end of its headers."""

CROWDED: Final = 0.75
"""Share of the places from which connections that do nothing are closed, longest silent first."""

_KINDS: Final = {
    401: "unauthorized", 408: "request-timeout", 413: "too-large", 500: "internal", 501: "unsupported-type",
    503: "overloaded",
}  # fmt: skip


class RequestTimeoutError(Error):  # type: ignore[misc]
    """Waitress's form of status 408."""

    code = 408
    reason = "Request Timeout"


class UnauthorizedError(Error):  # type: ignore[misc]
    """Waitress's form of status 401."""

    code = 401
    reason = "Unauthorized"


class OverloadedError(Error):  # type: ignore[misc]
    """Waitress's form of status 503."""

    code = 503
    reason = "Service Unavailable"


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """Closes the connection after a message with both Content-Length and Transfer-Encoding.

    Where a proxy before this server believes the other of the two, what follows could be taken for a request of
    somebody else (RFC 9112, 6.1).
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers."""
        both = {b"content-length", b"transfer-encoding"} <= {
            line.partition(b":")[0].strip().lower() for line in header_plus.split(b"\n")
        }
        super().parse_header(header_plus)
        if both:
            self.headers["CONNECTION"] = "close"


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what never reaches the app (too large, malformed, too slow) with a problem document."""

    def execute(self) -> None:
        """Write the response and close the connection."""
        error = self.request.error
        kind = _KINDS.get(error.code, "bad-request")
        detail = str(error.body)
        if kind == "too-large":
            detail = too_large(self.channel.adj.max_request_body_size - 1)
        request_id = new_request_id()
        body = json.dumps(document(kind, detail, status=error.code, request_id=request_id)).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", PROBLEM_JSON))
        self.response_headers.append(("X-Request-ID", request_id))
        if error.code == 401:
            self.response_headers.append(("WWW-Authenticate", 'Bearer realm="pneumoscope"'))
        if error.code == 503:
            self.response_headers.append(("Retry-After", "10"))
        self.response_headers.extend(SECURITY_HEADERS.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        logs.log("request", request_id=request_id, method="none", route="none", status=error.code)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection whose requests must come in within a time, however little the client sends at once."""

    error_task_class = ProblemTask
    parser_class = RequestParser
    receive_timeout: float = 60.0
    token_hashes: tuple[str, ...] = ()
    request: Any
    _since: float | None = None
    _checked: Any = None

    def received(self, data: bytes) -> bool:
        """Take what the client sent."""
        taken: bool = super().received(data)
        self._since = None if self.request is None else self._since or time.monotonic()
        request = self.request
        if request is not None and request.headers_finished and self._checked is not request:
            self._checked = request
            self._check_token(request)
        return taken

    @property
    def held(self) -> int:
        """Bytes of bodies that are kept for this connection."""
        waiting = (self.request, *self.requests)
        return sum(request.body_bytes_received for request in waiting if request is not None)

    @property
    def is_unfinished(self) -> bool:
        """Whether it holds a place without a request to answer: it is idle, or still sending."""
        return not (self.requests or self.will_close or self.close_when_flushed or self.total_outbufs_len)

    def cut_off_if_slow(self) -> None:
        """Answer 408 if a request is still incomplete after its time. Called from the main loop."""
        if self._since is None:
            return
        request = self.request
        limit = self.receive_timeout
        if request is not None and not request.headers_finished:
            limit = min(limit, HEADER_SECONDS)
        if time.monotonic() - self._since >= limit:
            self.answer(RequestTimeoutError(f"the request was not complete after {limit:g} seconds"))

    def let_go(self) -> None:
        """Free the place of a connection that does nothing; answer 503 where a request was begun."""
        if self.request is None:
            self.will_close = True
        else:
            self.answer(OverloadedError("too many clients are sending; try again later"))

    def answer(self, error: Error) -> None:
        """Answer an unfinished request with an error and take no more of it."""
        with self.requests_lock:
            request = self.request
            if request is None or self.requests or self.will_close or self.close_when_flushed:
                return
            if not request.headers_finished:
                request.parse_header(b"GET / HTTP/1.0\r\n")
            request.error = error
            request.completed, self.request, self._since = True, None, None
            self.requests.append(request)
        self.server.add_task(self)

    def _check_token(self, request: Any) -> None:
        """Refuse a body before it is taken; the app looks at the token again."""
        if not self.token_hashes or request.error is not None or not request.path.startswith(PROTECTED):
            return
        token = bearer_token(request.headers.get("AUTHORIZATION", ""))
        if token is None or not is_known(token, self.token_hashes):
            detail = "send the header 'Authorization: Bearer TOKEN' with a token of this server"
            self.answer(UnauthorizedError(detail))


def relieve(channels: Sequence[Channel], *, bytes_allowed: int, places: int) -> None:
    """Let go of unfinished connections, longest silent first, while bodies or connections exceed their bound.

    Args:
        channels: all that are open.
        bytes_allowed: of bodies, together.
        places: connections that the server takes at once.
    """
    held, open_now = sum(channel.held for channel in channels), len(channels)
    if held <= bytes_allowed and open_now <= CROWDED * places:
        return
    for channel in sorted((each for each in channels if each.is_unfinished), key=lambda each: each.last_activity):
        too_much, too_many = held > bytes_allowed, open_now > CROWDED * places
        if not (too_many or (too_much and channel.held)):
            continue
        held -= channel.held
        open_now -= 1
        channel.let_go()
