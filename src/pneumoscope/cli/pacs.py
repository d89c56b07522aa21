"""``pneumoscope pacs``: the hospital gateway."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from pneumoscope.cli.opening import model_option, open_model, operating_point_option


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
