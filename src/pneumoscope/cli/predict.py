"""``pneumoscope predict``: judge images, DICOM files and folders."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.inputs import find_inputs
from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import model_option, open_model, operating_point_option
from pneumoscope.cli.streams import allow_any_name, standard_input
from pneumoscope.errors import InputError
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.prediction import Prediction

HEADER = "result     P(pneumonia)  file"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@model_option
@operating_point_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and nothing else on standard output.")
@click.option(
    "--heatmaps",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a picture of where the model looked for every judged input.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Inputs judged at the same time.")
@click.pass_context
def predict(
    ctx: click.Context,
    paths: tuple[str, ...],
    model_file: Path | None,
    operating_point: str | None,
    as_json: bool,
    heatmaps: Path | None,
    jobs: int,
) -> None:
    """Judge images, DICOM files and folders.

    A PATH is an image, a DICOM file, a folder (searched with all below it) or - (paths from standard input, one a
    line). Results come in the order of the inputs, each as soon as it is there. The exit status is 1 if an input was
    refused or could not be read; its record says why.
    """
    problems: list[str] = []

    def warn(message: str) -> None:
        problems.append(message)
        click.echo(message, err=True)

    inputs = find_inputs(paths, standard_input, warn, leave_out=heatmaps)
    model = open_model(model_file, operating_point)
    predictions: Iterable[Prediction] = model.predict_many(inputs.paths, jobs=jobs, operating_point=operating_point)
    records = _with_pictures(_with_progress(predictions, inputs.total), model, heatmaps, warn)
    allow_any_name(as_json)
    counts = _write_json(records) if as_json else _write_table(records, model, operating_point)
    click.echo(RESEARCH_USE_ONLY, err=as_json)
    if problems or counts["refused"] or counts["error"]:
        ctx.exit(FAILED)


def _with_progress(predictions: Iterable[Prediction], total: int | None) -> Iterable[Prediction]:
    """Show a bar on a terminal, unless the results go to the same terminal and are progress enough."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return predictions
    from tqdm import tqdm

    bar: Iterable[Prediction] = tqdm(predictions, total=total, unit="image", file=sys.stderr)
    return bar


def _with_pictures(
    predictions: Iterable[Prediction], model: Model, folder: Path | None, warn: Callable[[str], None]
) -> Iterator[tuple[Prediction, Path | None]]:
    if folder is None:
        yield from ((prediction, None) for prediction in predictions)
        return
    from pneumoscope.cli.pictures import PictureFolder

    pictures = PictureFolder(folder, model)
    for prediction in predictions:
        picture = None
        try:
            picture = pictures.write(prediction)
        except InputError as error:
            warn(f"{error}; no heatmap of it")
        yield prediction, picture


def _write_json(records: Iterable[tuple[Prediction, Path | None]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for prediction, picture in records:
        counts[prediction.status] += 1
        click.echo(prediction.to_json(None if picture is None else str(picture)))
    return counts


def _write_table(
    records: Iterable[tuple[Prediction, Path | None]], model: Model, operating_point: str | None
) -> Counter[str]:
    counts: Counter[str] = Counter()
    click.echo(HEADER)
    for prediction, picture in records:
        counts[prediction.label or prediction.status] += 1
        click.echo(as_row(prediction, picture))
    name, point = model.contract.operating_point(operating_point)
    shares = ", ".join(f"{counts[key]} {key}" for key in (*model.contract.labels, "refused", "error"))
    click.echo(f"\n{counts.total()} inputs: {shares}")
    click.echo(
        f"{model.info.name} {model.info.version}, {model.contract.labels[1]} from {point.threshold:.3f} on ({name})"
    )
    return counts


def as_row(prediction: Prediction, picture: Path | None = None) -> str:
    """One record as a line of the table."""
    if prediction.probability is None or prediction.label is None:
        reasons = "; ".join(reason.removeprefix(f"{prediction.path}: ") for reason in prediction.reasons)
        return _printable(f"{prediction.status.value:<9}  {'-':>12}  {prediction.path}: {reasons}")
    drawn = f"  ->  {picture}" if picture else ""
    return _printable(f"{prediction.label:<9}  {prediction.probability:>12.3f}  {prediction.path}{drawn}")


def _printable(text: str) -> str:
    """Escape control characters, which could break the table or the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text
    )
