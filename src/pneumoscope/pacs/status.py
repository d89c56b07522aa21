"""What the people who run the gateway look at: a page, and numbers for Prometheus; on loopback only."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from pneumoscope.errors import GatewayError, UsageError
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.pacs.jobs import OPEN_STATES, Job, State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import LOOPBACK, Settings
from pneumoscope.pacs.spool import Spool

HOST: Final = LOOPBACK[0]
_RECENT: Final = 50
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse}"
    "td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #8884}caption{text-align:left;font-weight:600}"
    ":root{color-scheme:light dark}"
)


class QueueCollector(Collector):
    """The queue's state as metrics; read when asked for.

    Args:
        queue: of the calling thread.
        spool: whose disk is measured.
    """

    def __init__(self, queue: Queue, spool: Spool) -> None:
        self._queue, self._spool = queue, spool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give every metric once."""
        jobs = GaugeMetricFamily("pneumoscope_pacs_jobs", "Images in the queue by state", labels=["state"])
        for state, number in self._queue.counts().items():
            jobs.add_metric([state], number)
        yield jobs
        age = GaugeMetricFamily(
            "pneumoscope_pacs_oldest_seconds", "Age of the image that waits longest in a state", labels=["state"]
        )
        for state in OPEN_STATES:
            oldest = self._queue.oldest(state)
            age.add_metric([state], 0.0 if oldest is None else max(0.0, time.time() - oldest))
        yield age
        taken = GaugeMetricFamily(
            "pneumoscope_pacs_seconds",
            "From reception to the last change, of the last images done",
            labels=["quantile"],
        )
        for quantile, seconds in _quantiles(self._queue.recent(_RECENT)).items():
            taken.add_metric([quantile], seconds)
        yield taken
        reasons = GaugeMetricFamily(
            "pneumoscope_pacs_not_judged", "Images not judged, by the first words of the reason", labels=["reason"]
        )
        for reason, number in self._queue.reasons().items():
            reasons.add_metric([reason], number)
        yield reasons
        yield GaugeMetricFamily(
            "pneumoscope_pacs_disk_free_bytes", "Left on the spool's disk", value=1e6 * self._spool.free_megabytes()
        )


def metrics(queue: Queue, spool: Spool) -> bytes:
    """Everything in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(queue, spool))
    return generate_latest(registry)


def page(queue: Queue, spool: Spool, *, identity: bool) -> str:
    """The status page as HTML.

    Args:
        queue: of the calling thread.
        spool: whose disk is measured.
        identity: show accession numbers and study UIDs.
    """
    counts = "".join(_row(state, number) for state, number in queue.counts().items())
    heads = ("Image", "Received", "State", "Pneumonia", "Output", "Why") + (("Accession", "Study") if identity else ())
    recent = "".join(_row(*_cells(job, identity)) for job in queue.recent(_RECENT))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Pneumoscope gateway</title><style>{_STYLE}</style>"
        f"<h1>Pneumoscope gateway</h1><p>{html.escape(RESEARCH_USE_ONLY)}</p>"
        f"<p>{spool.free_megabytes() / 1000:.1f} GB left on the disk.</p>"
        f"<table><caption>Queue</caption><tbody>{counts}</table>"
        f"<table><caption>Last images</caption><thead>{_row(*heads, tag='th')}<tbody>{recent}</table></html>"
    )


def _cells(job: Job, identity: bool) -> tuple[str, ...]:
    cells = (
        str(job.id),
        f"{datetime.fromtimestamp(job.received):%Y-%m-%d %H:%M:%S}",
        job.state.value,
        job.presence or "",
        "" if job.certainty is None else f"{job.certainty:.1f} %",
        "; ".join(job.reasons) or job.failure or "",
    )
    return (*cells, job.arrival.accession, job.arrival.study_uid) if identity else cells


def _row(*cells: object, tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def _quantiles(jobs: list[Job]) -> dict[str, float]:
    done = sorted(job.changed - job.received for job in jobs if job.state in (State.COMMITTED, State.SENT))
    if not done:
        return {}
    return {str(share): done[min(len(done) - 1, int(share * len(done)))] for share in (0.5, 0.95)}


class StatusServer:
    """Serves the page at ``/`` and the metrics at ``/metrics``.

    Args:
        settings: of the gateway.
        open_queue: gives a queue for the calling thread.
        spool: whose disk is measured.
    """

    def __init__(self, settings: Settings, open_queue: Callable[[], Queue], spool: Spool) -> None:
        self._settings, self._open_queue, self._spool = settings, open_queue, spool
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> int:
        """Listen, in a thread. Returns the port.

        Raises:
            UsageError: the port is taken.
        """
        port = self._settings.status.port
        try:
            self._server = ThreadingHTTPServer((HOST, port), self._handler())
        except OSError as error:
            raise UsageError(f"status.port {port}: cannot listen there ({error.strerror or error})") from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        queue = self._open_queue()
        try:
            if path == "/metrics":
                return 200, CONTENT_TYPE_LATEST, metrics(queue, self._spool)
            if path == "/":
                content = page(queue, self._spool, identity=self._settings.status.identity)
                return 200, "text/html; charset=utf-8", content.encode()
            return 404, "text/plain", b"not found\n"
        finally:
            queue.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                # A page on loopback is reached by any name that resolves there: guards against DNS rebinding.
                host = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
                if host not in LOOPBACK:
                    return self._send(403, "text/plain", b"wrong host\n")
                try:
                    answer = server._answer(self.path)
                except GatewayError:
                    answer = (503, "text/plain", b"the queue cannot be read\n")
                return self._send(*answer)

            def _send(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                for name, value in (
                    ("Content-Type", kind),
                    ("Content-Length", str(len(content))),
                    ("Cache-Control", "no-store"),
                    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
                    ("X-Content-Type-Options", "nosniff"),
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Not a word: the audit trail is elsewhere."""

        return Handler
