"""Serves the page's files and nothing else: no picture ever comes to this server."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from pneumoscope.serving.on_device.files import PageFile


class _Handler(BaseHTTPRequestHandler):
    files: ClassVar[Mapping[str, PageFile]] = {}
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pneumoscope", ""
    timeout = 30  # seconds that a client may take over a request

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        file = self.files.get(unquote(urlsplit(self.path).path).removeprefix("/"))
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file.path.open("rb") as content:
            self.send_response(HTTPStatus.OK)
            for name, value in {**file.headers, "Content-Length": str(file.path.stat().st_size)}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                shutil.copyfileobj(content, self.wfile)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: what is loaded from a loopback server is nobody's business."""


class PageServer:
    """A listening server of the page.

    Args:
        files: from :func:`pneumoscope.serving.on_device.files.page_files`.
        host: name or address to listen on.
        port: to listen on; 0 takes a free one.

    Raises:
        OSError: the address is taken or not this machine's.
    """

    def __init__(self, files: Mapping[str, PageFile], host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"files": dict(files)})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def run(self) -> None:
        """Serve until :meth:`stop`, or until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    def stop(self) -> None:
        """Stop from another thread."""
        self._server.shutdown()
