"""``pneumoscope pacs``: the hospital gateway."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.opening import model_option, open_model, operating_point_option

if TYPE_CHECKING:
    from pneumoscope.pacs.queue import Queue
    from pneumoscope.pacs.settings import Settings

settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    envvar="PNEUMOSCOPE_PACS_SETTINGS",
    help="Settings of the gateway (TOML) [env: PNEUMOSCOPE_PACS_SETTINGS].",
)


@click.group(name="pacs")
def pacs() -> None:
    """Take radiographs from a hospital's archive and give coded results back. Research use only."""


@pacs.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the objects.")
@click.option("--report-refusals", is_flag=True, help="Write a report, 'not evaluated', for what is not judged.")
@model_option
@operating_point_option
@click.pass_context
def make(
    ctx: click.Context,
    files: tuple[Path, ...],
    out: Path,
    report_refusals: bool,
    model_file: Path | None,
    operating_point: str | None,
) -> None:
    """Write the objects of DICOM files into a folder, without a network.

    For each file a structured report (`NAME.report.dcm`) and a secondary capture (`NAME.capture.dcm`).
    """
    from pneumoscope.errors import InputError, UnreadableInputError
    from pneumoscope.files import make_folder, write_atomically
    from pneumoscope.pacs.guards import Guards
    from pneumoscope.pacs.objects import make_objects

    model = open_model(model_file, operating_point)
    make_folder(out)
    failed = False
    for file in files:
        try:
            try:
                content = file.read_bytes()
            except OSError as error:
                raise UnreadableInputError(f"{file}: cannot be read ({error.strerror})") from error
            result = make_objects(
                content,
                model,
                made=datetime.now().astimezone().replace(tzinfo=None, microsecond=0),
                guards=Guards(),
                operating_point=operating_point,
                report_refusals=report_refusals,
                name=str(file),
            )
        except InputError as error:
            click.echo(str(error), err=True)
            failed = True
            continue
        for made in result.objects:
            write_atomically(out / f"{file.stem}.{made.kind}.dcm", made.content)
        failed = failed or bool(result.reasons)
        click.echo(f"{file}: {result.finding.headline}" + "".join(f"; {reason}" for reason in result.reasons))
    if failed:
        ctx.exit(1)


@pacs.command()
@settings_option
def serve(settings_file: Path) -> None:
    """Receive radiographs by C-STORE and deliver results until interrupted."""
    _run(settings_file, watch=False)


@pacs.command()
@settings_option
def watch(settings_file: Path) -> None:
    """Follow an Orthanc or DICOMweb server for new radiographs and deliver results until interrupted.

    Also receives, as `serve` does.
    """
    _run(settings_file, watch=True)


def _run(settings_file: Path, *, watch: bool) -> None:
    from pneumoscope.model.contract import RESEARCH_USE_ONLY
    from pneumoscope.pacs.gateway import Gateway
    from pneumoscope.pacs.settings import read_settings

    settings = read_settings(settings_file)
    open_model(settings.judging.model, settings.judging.operating_point)
    gateway = Gateway(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, gateway.stop)

    def ready(ports: dict[str, int]) -> None:
        lines = [f"Pneumoscope gateway {settings.receive.ae_title} on {settings.receive.host}:{ports['dicom']}"]
        if "status" in ports:
            lines.append(f"Status: http://127.0.0.1:{ports['status']}/")
        if watch:
            lines.append(f"Following {settings.watch.url}")
        click.echo("\n".join([*lines, RESEARCH_USE_ONLY]), err=True)

    try:
        gateway.run(watch=watch, ready=ready)
    finally:
        gateway.close()


@pacs.command()
@settings_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(settings_file: Path, as_json: bool) -> None:
    """Say how many images are in which state, and what was given up. Identity is not shown."""
    import json

    _, queue = _open(settings_file)
    counts, dead = queue.counts(), queue.dead()
    if as_json:
        failures = [{"job": job.id, "failure": job.failure} for job in dead]
        click.echo(json.dumps({"jobs": counts, "not_judged": queue.reasons(), "dead": failures}))
        return
    for state, number in counts.items():
        click.echo(f"{state:<10} {number}")
    for reason, number in queue.reasons().items():
        click.echo(f"not judged: {number} x {reason}")
    for job in dead:
        click.echo(f"given up: image {job.id}: {job.failure}")


@pacs.command()
@settings_option
def retry(settings_file: Path) -> None:
    """Put back what was given up, and make everything that waits due now. Works while the gateway runs."""
    _, queue = _open(settings_file)
    click.echo(f"{queue.retry_dead()} put back, {queue.make_due()} made due")


@pacs.command()
@settings_option
@click.option("--older-than", type=click.FloatRange(0), metavar="DAYS", help="Instead of keep_days in the settings.")
def purge(settings_file: Path, older_than: float | None) -> None:
    """Delete the files of images whose results the archive keeps, or that were not judged.

    Their rows stay, without which an image that comes again would be judged again. Works while the gateway runs.
    """
    from pneumoscope.pacs import gateway
    from pneumoscope.pacs.audit import AuditTrail
    from pneumoscope.pacs.spool import Spool

    settings, queue = _open(settings_file)
    audit = AuditTrail(settings.spool, settings.audit_log)
    number = gateway.purge(settings, queue, Spool(settings.spool), audit, older_than)
    click.echo(f"files of {number} images deleted")


def _open(settings_file: Path) -> tuple[Settings, Queue]:
    from pneumoscope.errors import UsageError
    from pneumoscope.pacs.queue import Queue
    from pneumoscope.pacs.settings import read_settings
    from pneumoscope.pacs.spool import QUEUE_FILE

    settings = read_settings(settings_file)
    file = settings.spool / QUEUE_FILE
    if not file.is_file():
        raise UsageError(f"{settings.spool}: no queue there; the gateway has never run with these settings")
    return settings, Queue(file)


@pacs.command()
@settings_option
@click.option("--watch", is_flag=True, help="Also try the server that `pacs watch` follows.")
@click.option("--deliver", is_flag=True, help="Send the sample's results to the archive, as PNEUMOSCOPE^CHECK.")
@click.pass_context
def check(ctx: click.Context, settings_file: Path, watch: bool, deliver: bool) -> None:
    """Try the set-up with a drawn sample and say in words what is wrong. The gateway must not run meanwhile."""
    from pneumoscope.pacs.check import check as try_out
    from pneumoscope.pacs.settings import read_settings

    failed = False
    for each in try_out(read_settings(settings_file), watch=watch, deliver=deliver):
        click.echo(f"{'ok  ' if each.passed else 'FAIL'} {each.part}: {each.words}")
        failed = failed or not each.passed
    if failed:
        ctx.exit(1)
