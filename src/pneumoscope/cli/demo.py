"""``pneumoscope demo``: real radiographs, judged and shown."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import open_model
from pneumoscope.cli.predict import HEADER, as_row
from pneumoscope.model.contract import RESEARCH_USE_ONLY


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for the page and the sheet.",
)
@click.pass_context
def demo(ctx: click.Context, out: Path) -> None:
    """Judge real radiographs and show them on a page.

    A real chest DICOM is judged and a real leg DICOM is refused. Labelled radiographs under the folder that
    PNEUMOSCOPE_DATA names join in. Writes DIR/index.html and DIR/sheet.png.
    """
    from pneumoscope.demo.cases import DATA_VARIABLE, dicom_samples, judge, radiographs
    from pneumoscope.demo.page import render
    from pneumoscope.demo.sheet import draw_sheet
    from pneumoscope.drawing.png import encode_png
    from pneumoscope.files import make_folder, write_atomically

    sources = dicom_samples()
    root = os.environ.get(DATA_VARIABLE)
    if root:
        sources += radiographs(Path(root), lambda message: click.echo(message, err=True))
    else:
        click.echo(f"{DATA_VARIABLE} is not set: only the two DICOM files are shown", err=True)
    model = open_model(None)
    make_folder(out)
    cases = []
    click.echo(HEADER)
    for case in judge(model, sources):
        cases.append(case)
        click.echo(as_row(case.prediction))
    write_atomically(out / "index.html", render(cases, model).encode())
    write_atomically(out / "sheet.png", encode_png(draw_sheet(cases)))
    right = sum(case.as_expected for case in cases)
    click.echo(
        f"\n{right} of {len(cases)} as expected or labelled\npage   {out / 'index.html'}\nsheet  {out / 'sheet.png'}"
    )
    click.echo(RESEARCH_USE_ONLY)
    for case in cases:
        if case.failed:
            click.echo(
                f"{case.source.title}: {case.source.expected}, but it came out as {case.prediction.status}", err=True
            )
    if any(case.failed for case in cases):
        ctx.exit(FAILED)
