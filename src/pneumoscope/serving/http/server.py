"""Waitress as this app needs it: nothing spooled to disk, slow senders cut off, problem documents, a graceful stop."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, create_server
from waitress.task import ErrorTask
from waitress.utilities import Error

from pneumoscope.serving import logs
from pneumoscope.serving.http.app import SERVICE
from pneumoscope.serving.http.guard import SECURITY_HEADERS, new_request_id
from pneumoscope.serving.http.problems import PROBLEM_JSON, document, too_large
from pneumoscope.serving.queue import InferenceService
from pneumoscope.serving.settings import Settings

CONNECTIONS: Final = 64
"""Open at once. Together with the size limit of a request this bounds the memory that clients can fill."""

SPARE_THREADS: Final = 4
"""More than images may wait, so that a full queue still answers 503, health checks and pages."""

_KINDS: Final = {413: "too-large", 408: "request-timeout", 500: "internal", 501: "unsupported-type"}


class RequestTimeoutError(Error):  # type: ignore[misc]
    """Waitress's form of status 408."""

    code = 408
    reason = "Request Timeout"


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
        self.response_headers.extend(SECURITY_HEADERS.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        logs.log("request", request_id=request_id, method="none", route="none", status=error.code)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection whose requests must come in within a time, however little the client sends at once."""

    error_task_class = ProblemTask
    receive_timeout: float = 60.0
    request: Any
    _since: float | None = None

    def received(self, data: bytes) -> bool:
        """Take what the client sent."""
        taken: bool = super().received(data)
        self._since = None if self.request is None else self._since or time.monotonic()
        return taken

    def cut_off_if_slow(self) -> None:
        """Answer 408 if a request is still incomplete after its time. Called from the main loop."""
        if self._since is None or time.monotonic() - self._since < self.receive_timeout:
            return
        with self.requests_lock:
            request = self.request
            if request is None or self.requests or self.will_close or self.close_when_flushed:
                return
            if not request.headers_finished:
                request.parse_header(b"GET / HTTP/1.0\r\n")
            request.error = RequestTimeoutError(f"the request was not complete after {self.receive_timeout:g} seconds")
            request.completed, self.request, self._since = True, None, None
            self.requests.append(request)
        self.server.add_task(self)


class WebServer:
    """A listening server.

    Args:
        app: from :func:`pneumoscope.serving.http.app.create_app`.
        settings: the same that the app was made with.

    Raises:
        OSError: the address is taken or not this machine's.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._service: InferenceService = app.extensions[SERVICE]
        self._settings, self._stop = settings, False
        self._map: dict[int, Any] = {}
        proxy = {
            "trusted_proxy": settings.trusted_proxy,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
        }
        self._server = create_server(
            app,
            map=self._map,
            host=settings.host,
            port=settings.port,
            threads=settings.queue_size + SPARE_THREADS,
            connection_limit=settings.queue_size + CONNECTIONS,
            max_request_body_size=settings.max_upload + 1,
            max_request_header_size=32 * 1024,
            recv_bytes=2**18,  # a radiograph in one or two turns of the main loop
            # Above these sizes waitress would write to temporary files.
            inbuf_overflow=2 * settings.max_upload,
            outbuf_overflow=2**31,
            channel_timeout=int(max(1, settings.receive_timeout)),
            cleanup_interval=5,
            ident=None,
            log_socket_errors=False,
            **(proxy if settings.trusted_proxy else {}),
        )
        self._listeners = [entry for entry in self._map.values() if isinstance(entry, TcpWSGIServer)]
        channel = type("Channel", (Channel,), {"receive_timeout": settings.receive_timeout})
        for listener in self._listeners:
            listener.channel_class = channel
        self.port = int(self._listeners[0].effective_port)

    def run(self, *, on_signals: bool = True) -> None:
        """Serve until :meth:`stop` or a signal, then finish what was taken."""
        if on_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
        logs.log("listening", host=self._settings.host, port=self.port)
        self._loop(lambda: not self._stop)
        self._service.stop_accepting()
        for listener in self._listeners:
            listener.accepting = False
            listener.socket.close()
            listener.del_channel(self._map)
        end = time.monotonic() + self._settings.stop_timeout
        self._loop(lambda: self._has_work() and time.monotonic() < end)
        logs.log("stopped", unfinished=sum(map(_is_busy, self._channels())))
        self._listeners[0].task_dispatcher.shutdown()
        wasyncore.close_all(self._map, ignore_all=True)
        self._service.close()

    def stop(self) -> None:
        """Stop from any thread; returns at once. A second call changes nothing."""
        if not self._stop:
            self._stop = True
            self._listeners[0].pull_trigger()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _loop(self, wanted: Callable[[], bool]) -> None:
        while self._map and wanted():
            wasyncore.loop(timeout=0.25, map=self._map, count=1)
            for channel in self._channels():
                channel.cut_off_if_slow()

    def _channels(self) -> list[Channel]:
        return [entry for entry in list(self._map.values()) if isinstance(entry, Channel)]

    def _has_work(self) -> bool:
        return any(map(_is_busy, self._channels()))


def _is_busy(channel: Channel) -> bool:
    """Whether a request that was taken is not answered yet."""
    return bool(channel.requests) or channel.total_outbufs_len > 0
