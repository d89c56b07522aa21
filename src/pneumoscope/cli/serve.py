"""``pneumoscope serve`` and ``pneumoscope ui``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pneumoscope.cli.opening import model_option, open_model
from pneumoscope.errors import UsageError
from pneumoscope.model.contract import RESEARCH_USE_ONLY


def _print_new_token(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from pneumoscope.serving.http.tokens import new_token

        token, digest = new_token()
        click.echo(f"token, for the client:    {token}\nhash, for --token-file:   {digest}")
        ctx.exit()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@model_option
@click.option("--workers", type=click.IntRange(1), help="Threads that judge; one a processor by default.")
@click.option("--queue", "queue_size", type=click.IntRange(1), default=64, show_default=True, help="Images in flight.")
@click.option("--rate-limit", default="1200 per minute", show_default=True, help="API requests an address; or 'none'.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="SHA-256 hashes of accepted bearer tokens, one a line.",
)
@click.option("--insecure", is_flag=True, help="Allow other machines in without tokens.")
@click.option(
    "--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="Host name to answer to; repeatable."
)
@click.option("--trusted-proxy", metavar="ADDRESS", help="Believe X-Forwarded-For and -Proto of this reverse proxy.")
@click.option("--log-scores", is_flag=True, help="Log scores, without identity, for `pneumoscope monitor`.")
@click.option(
    "--new-token",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_new_token,
    help="Print a new token with its hash, and exit.",
)
def serve(
    host: str,
    port: int,
    model_file: Path | None,
    workers: int | None,
    queue_size: int,
    rate_limit: str,
    token_file: Path | None,
    insecure: bool,
    allowed_hosts: tuple[str, ...],
    trusted_proxy: str | None,
    log_scores: bool,
) -> None:
    """Serve the web page and the web API until interrupted.

    Nothing that is sent is written to disk. When other machines can reach the address, tokens are required.
    """
    from pneumoscope.serving.http.tokens import read_token_file
    from pneumoscope.serving.settings import Settings, is_loopback

    if not (is_loopback(host) or token_file or insecure):
        raise UsageError(
            f"--host {host}: other machines can reach it; give --token-file (see --new-token), or --insecure "
            "to let anybody in"
        )
    settings = Settings(
        host=host,
        port=port,
        model_file=model_file,
        queue_size=queue_size,
        max_files=min(Settings.max_files, queue_size),
        rate_limit=None if rate_limit.lower() == "none" else _checked_rate(rate_limit),
        token_hashes=read_token_file(token_file) if token_file else (),
        allowed_hosts=allowed_hosts,
        trusted_proxy=trusted_proxy,
        log_scores=log_scores,
        **({"workers": workers} if workers else {}),
    )
    from pneumoscope.serving import logs
    from pneumoscope.serving.http.app import create_app
    from pneumoscope.serving.http.server import WebServer

    app = create_app(open_model(model_file), settings)
    logs.configure()
    try:
        server = WebServer(app, settings)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: cannot listen there ({error.strerror or error})") from error
    name = f"[{host}]" if ":" in host else host
    click.echo(f"Pneumoscope on http://{name}:{server.port} - stop with Ctrl+C\n{RESEARCH_USE_ONLY}", err=True)
    if not server.run():
        os._exit(0)  # a thread is still decoding, and the time to stop is over


def _checked_rate(text: str) -> str:
    from limits import parse_many

    try:
        parse_many(text)
    except ValueError as error:
        raise UsageError(f"--rate-limit {text!r}: write it as '1200 per minute', or 'none'") from error
    return text


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="Port to listen on.")
@model_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="PNEUMOSCOPE_DATA",
    metavar="DIR",
    help="Folder of radiographs to offer as examples [env: PNEUMOSCOPE_DATA].",
)
@click.option("--share", is_flag=True, help="Open a public link through Gradio's servers. Images leave this machine.")
@click.option(
    "--auth-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A user name and password, name:password, one a line.",
)
@click.option("--insecure", is_flag=True, help="Allow other machines in without a password.")
@click.option("--root-path", default="", metavar="PATH", help="Path that a reverse proxy serves the page at.")
def ui(
    host: str,
    port: int,
    model_file: Path | None,
    data: Path | None,
    share: bool,
    auth_file: Path | None,
    insecure: bool,
    root_path: str,
) -> None:
    """Open the Gradio page until interrupted.

    When other machines can reach the address, a user name and password are asked for (--auth-file), or --insecure lets
    anybody in.
    """
    from pneumoscope.serving.gradio_page import launch, read_auth_file
    from pneumoscope.serving.settings import is_loopback

    if not (is_loopback(host) or auth_file or insecure) or (share and not (auth_file or insecure)):
        what = "--share" if share else f"--host {host}"
        raise UsageError(
            f"{what}: other machines can reach it; give --auth-file with a line 'name:password', or --insecure to let "
            "anybody in"
        )
    _check_port(host, port)
    auth = read_auth_file(auth_file) if auth_file else None
    launch(open_model(model_file), host=host, port=port, data=data, share=share, auth=auth, root_path=root_path)


def _check_port(host: str, port: int) -> None:
    """Say in one line that a port cannot be listened on, before the page is built."""
    import socket

    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: cannot listen there ({error.strerror or error})") from error
