"""``pneumoscope explain``: draw where the model looked."""

from __future__ import annotations

from pathlib import Path

import click

from pneumoscope.cli.inputs import find_inputs
from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import model_option, open_model, operating_point_option
from pneumoscope.cli.streams import allow_any_name, standard_input
from pneumoscope.explain.methods import DEFAULT_METHOD, METHODS
from pneumoscope.model.contract import RESEARCH_USE_ONLY


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@model_option
@operating_point_option
@click.option("--method", type=click.Choice(list(METHODS)), default=DEFAULT_METHOD, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gradcam_outputs"),
    show_default=True,
    metavar="DIR",
    help="Folder for the pictures.",
)
@click.pass_context
def explain(
    ctx: click.Context,
    paths: tuple[str, ...],
    model_file: Path | None,
    operating_point: str | None,
    method: str,
    out: Path,
) -> None:
    """Draw where the model looked: a picture of each input with heatmap, colour bar and probability.

    A PATH is an image, a DICOM file, a folder (searched with all below it) or - (paths from standard input, one a
    line). Prints where each picture is. The exit status is 1 if an input could not be judged.
    """
    failed = False

    def warn(message: str) -> None:
        nonlocal failed
        failed = True
        click.echo(message, err=True)

    inputs = find_inputs(paths, standard_input, warn, leave_out=out)
    model = open_model(model_file, operating_point)
    from pneumoscope.cli.pictures import PictureFolder
    from pneumoscope.drawing.panel import SIDE

    pictures = PictureFolder(out, model, method)
    allow_any_name(as_json=False)
    for examined in model.examine_many(inputs.paths, operating_point=operating_point, target=SIDE):
        png = pictures.draw(examined)
        if png is None:
            warn("; ".join(examined.prediction.reasons))
        else:
            click.echo(pictures.place(examined.prediction.path, png))
    click.echo(RESEARCH_USE_ONLY, err=True)
    if failed:
        ctx.exit(FAILED)
