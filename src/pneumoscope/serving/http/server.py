"""Waitress as this app needs it: nothing spooled to disk, slow senders cut off, problem documents, a graceful stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from flask import Flask
from waitress import wasyncore
from waitress.server import TcpWSGIServer, create_server

from pneumoscope.serving import logs
from pneumoscope.serving.http.app import SERVICE
from pneumoscope.serving.http.channel import Channel, relieve
from pneumoscope.serving.queue import InferenceService
from pneumoscope.serving.settings import Settings

CONNECTIONS: Final = 64
"""Open at once beside those whose images wait."""

BODIES: Final = 4
"""Requests of the largest size whose bodies may be held at once; beyond, the slowest senders are let go."""

SPARE_THREADS: Final = 4
"""More than images may wait, so that a full queue still answers 503, health checks and pages."""


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
        self._places = settings.queue_size + CONNECTIONS
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
            connection_limit=self._places,
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
        limits = {"receive_timeout": settings.receive_timeout, "token_hashes": settings.token_hashes}
        channel = type("Channel", (Channel,), limits)
        for listener in self._listeners:
            listener.channel_class = channel
        self.port = int(self._listeners[0].effective_port)

    def run(self, *, on_signals: bool = True) -> bool:
        """Serve until :meth:`stop` or a signal, then finish what was taken.

        Returns:
            Whether all of it was finished in time; where not, a thread may still be at work.
        """
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
        unfinished = sum(map(_is_busy, self._channels()))
        logs.log("stopped", unfinished=unfinished)
        self._listeners[0].task_dispatcher.shutdown(timeout=max(0.1, min(5.0, end - time.monotonic())))
        wasyncore.close_all(self._map, ignore_all=True)
        self._service.close(wait=not unfinished)
        return not unfinished

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
            channels = self._channels()
            for channel in channels:
                channel.cut_off_if_slow()
            relieve(channels, bytes_allowed=BODIES * self._settings.max_upload, places=self._places)

    def _channels(self) -> list[Channel]:
        return [entry for entry in list(self._map.values()) if isinstance(entry, Channel)]

    def _has_work(self) -> bool:
        return any(map(_is_busy, self._channels()))


def _is_busy(channel: Channel) -> bool:
    """Whether a request that was taken is not answered yet."""
    return bool(channel.requests) or channel.total_outbufs_len > 0
