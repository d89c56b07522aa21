"""The page on the device, served beside the server's own page where this installation carries it."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, abort, send_file

from pneumoscope.serving.on_device.files import INDEX, is_built, page_files

ENDPOINT: Final = "device"
"""Its files say themselves how long they may be kept."""


def install_device_page(app: Flask) -> None:
    """Add ``/device/``, and tell the templates by ``has_device_page`` whether there is one."""
    app.jinja_env.globals["has_device_page"] = is_built()
    if not is_built():
        return
    files = page_files()

    @app.route("/device/", endpoint=ENDPOINT, defaults={"name": INDEX})
    @app.route("/device/<path:name>", endpoint=ENDPOINT)
    def device(name: str) -> Response:
        file = files.get(name)
        if file is None:
            abort(404)
        response = send_file(file.path, conditional=True, max_age=None)
        for header, value in file.headers.items():
            response.headers[header] = value
        return response
