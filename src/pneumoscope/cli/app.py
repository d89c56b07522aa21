"""``pneumoscope app``."""

from __future__ import annotations

import webbrowser

import click

from pneumoscope.errors import UsageError
from pneumoscope.model.contract import RESEARCH_USE_ONLY


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0 takes a free one.")
@click.option("--open/--no-open", "is_opened", default=False, help="Open the page in the browser.")
def app(host: str, port: int, is_opened: bool) -> None:
    """Serve the page that judges on the device itself, until interrupted.

    The browser loads page, engine and model from here, then needs this server no more: no picture is sent anywhere.
    """
    from pneumoscope.serving.on_device.files import page_files
    from pneumoscope.serving.on_device.server import PageServer

    files = page_files()
    try:
        server = PageServer(files, host, port)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: cannot listen there ({error.strerror or error})") from error
    # By name, since browsers allow service workers on https and on localhost.
    name = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    url = f"http://{name}:{server.port}"
    click.echo(f"The page on the device: {url} - stop with Ctrl+C\n{RESEARCH_USE_ONLY}", err=True)
    if is_opened:
        webbrowser.open(url)
    server.run()
