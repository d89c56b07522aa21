"""``pneumoscope predict``: judge images, DICOM files and folders."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from pneumoscope.cli.inputs import find_inputs
from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import model_option, open_model, operating_point_option, prevalence_option
from pneumoscope.cli.streams import allow_any_name, standard_input
from pneumoscope.model import wording
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.prediction import Prediction

    Record: TypeAlias = tuple[Prediction, Path | None]
    """What is said of an input, and where its picture is."""

_WIDTH = 34  # of the longest result of a built-in operating point, "uncertain (above high_specificity)"
HEADER = f"{'result':<{_WIDTH}}  {'score':>8}  file"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@model_option
@operating_point_option
@prevalence_option
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
    prevalence: float | None,
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

    def tell(message: str) -> None:
        click.echo(message, err=True)

    inputs = find_inputs(paths, standard_input, warn, tell=tell, leave_out=heatmaps)
    model = open_model(model_file, operating_point)
    model.check(operating_point, prevalence)
    examined = _records(model, inputs.paths, operating_point, prevalence, heatmaps, jobs)
    records = _with_progress(examined, inputs.total)
    allow_any_name(as_json)
    counts = _write_json(records) if as_json else _write_table(records, model, operating_point)
    click.echo(RESEARCH_USE_ONLY, err=as_json)
    if problems or counts["refused"] or counts["error"]:
        ctx.exit(FAILED)


def _with_progress(records: Iterator[Record], total: int | None) -> Iterable[Record]:
    """Show a bar on a terminal, unless the results go to the same terminal and are progress enough."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return records
    from tqdm import tqdm

    bar: Iterable[Record] = tqdm(records, total=total, unit="image", file=sys.stderr)
    return bar


def _records(
    model: Model,
    paths: Iterable[str],
    operating_point: str | None,
    prevalence: float | None,
    heatmaps: Path | None,
    jobs: int,
) -> Iterator[Record]:
    """Examine, and draw if asked for, in threads; pictures get their names in the order of the inputs."""
    from pneumoscope.model.classifier import in_threads

    pictures, side = None, None
    if heatmaps is not None:
        from pneumoscope.cli.pictures import PictureFolder
        from pneumoscope.drawing.panel import SIDE

        pictures, side = PictureFolder(heatmaps, model), SIDE

    def one(path: str) -> tuple[Prediction, bytes | None]:
        examined = model.examine(path, operating_point=operating_point, prevalence=prevalence, target=side)
        # The radiograph's pixels are let go here, so that few are held at a time.
        return examined.prediction, None if pictures is None else pictures.draw(examined)

    for prediction, png in in_threads(one, paths, jobs):
        yield prediction, None if png is None or pictures is None else pictures.place(prediction.path, png)


def _write_json(records: Iterable[Record]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for prediction, picture in records:
        counts[prediction.status] += 1
        click.echo(prediction.to_json(None if picture is None else str(picture)))
    return counts


def _write_table(records: Iterable[Record], model: Model, operating_point: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    click.echo(HEADER)
    for prediction, picture in records:
        counts[_kind(prediction)] += 1
        click.echo(as_row(prediction, picture))
    name, point = model.contract.operating_point(operating_point)
    shown = ["above", "below", *(["uncertain"] if model.contract.conformal else []), "refused", "error"]
    words = {"error": wording.words()["error"]}
    click.echo(f"\n{counts.total()} inputs: {', '.join(f'{counts[key]} {words.get(key, key)}' for key in shown)}")
    at = wording.say("operating_point_at", name=name, threshold=wording.score(point.threshold))
    click.echo(f"{model.info.name} {model.info.version}, {at}. {wording.meaning_of_score(model.contract)}")
    return counts


def _kind(prediction: Prediction) -> str:
    """What a record counts as in the last line."""
    if prediction.probability is None:
        return prediction.status.value
    if wording.is_uncertain(prediction):
        return "uncertain"
    return "above" if prediction.probability >= prediction.threshold else "below"


def as_row(prediction: Prediction, picture: Path | None = None) -> str:
    """One record as a line of the table, after a line for each of its notes."""
    result = wording.result(prediction, short=True)
    notes = [f"{wording.words()['notes_title']}: {note}" for note in prediction.notes]
    if prediction.probability is None:
        reasons = "; ".join(reason.removeprefix(f"{prediction.path}: ") for reason in prediction.reasons)
        row = f"{result:<{_WIDTH}}  {'-':>8}  {prediction.path}: {reasons}"
        return "\n".join(_printable(line) for line in (*notes, row))
    drawn = f"  ->  {picture}" if picture else ""
    score = wording.score(prediction.probability, prediction.threshold)
    row = f"{result:<{_WIDTH}}  {score:>8}  {prediction.path}{drawn}"
    meaning = (
        [] if prediction.post_test is None else [f"    {line}" for line in wording.post_test(prediction.post_test)]
    )
    return "\n".join(_printable(line) for line in (*notes, row, *meaning))


def _printable(text: str) -> str:
    """Escape control characters, which could break the table or the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text
    )
