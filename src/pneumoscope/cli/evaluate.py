"""``pneumoscope evaluate``: measure a model, or a table of predictions, on labelled images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import FILE, model_option, open_model, operating_point_option
from pneumoscope.errors import ContractError, UsageError
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.files import make_folder
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics.compare import Rival
from pneumoscope.statistics.table import LABEL_NAMES, SUBTYPE_NAMES, PredictionTable

if TYPE_CHECKING:
    from pneumoscope.datasets.source import LabelledImage
    from pneumoscope.evaluation.explanations.summary import ExplanationScores
    from pneumoscope.evaluation.report import EvaluationReport
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.prediction import Prediction

DEFAULT_THRESHOLD: Final = 0.5
"""For a table of predictions that does not say what it was decided with."""


@dataclass(frozen=True)
class Judged:
    """Predictions and what made them.

    Attributes:
        table: the predictions.
        threshold: that they are decided with.
        operating_point: its name.
        operating_points: all thresholds that are known by name.
        model_info: what names the model.
        model: to draw heatmaps with; ``None`` for a table from elsewhere.
    """

    table: PredictionTable
    threshold: float
    operating_point: str
    operating_points: Mapping[str, float]
    model_info: Mapping[str, Any]
    model: Model | None = None


@click.command()
@click.option("--data", "data_dir", type=click.Path(path_type=Path), metavar="DIR", help="Labelled images.")
@click.option("--split", metavar="NAME", help="Folder of DIR that holds NORMAL and PNEUMONIA, or role of the manifest.")
@click.option("--manifest", type=FILE, metavar="FILE", help="Take the images from this manifest of DIR.")
@model_option
@operating_point_option
@click.option(
    "--predictions", type=FILE, metavar="FILE", help="Judge this CSV (path, label, probability, ...) instead."
)
@click.option("--threshold", type=click.FloatRange(0, 1), help="Decide the predictions from this probability on.")
@click.option(
    "--compare", "other", type=FILE, metavar="MODEL_B", help="Compare with this model, or CSV of predictions."
)
@click.option("--run", "run", type=click.Path(exists=True, path_type=Path), metavar="RUN", help="Show its training.")
@click.option("--explanations", is_flag=True, help="Test the heatmaps too: randomised weights, insertion, shifts, ...")
@click.option("--shortcuts", is_flag=True, help="Judge again with corners masked, frames, blur, ... (shortcuts.json).")
@click.option("--no-images", is_flag=True, help="Show no radiographs on the page.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Images judged at the same time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.pass_context
def evaluate(
    ctx: click.Context,
    data_dir: Path | None,
    split: str | None,
    manifest: Path | None,
    model_file: Path | None,
    operating_point: str | None,
    predictions: Path | None,
    threshold: float | None,
    other: Path | None,
    run: Path | None,
    explanations: bool,
    shortcuts: bool,
    no_images: bool,
    jobs: int,
    seed: int,
    out: Path,
) -> None:
    """Measure a model on labelled images, with intervals.

    Writes report.json, predictions.csv, the pictures and index.html, one self-contained page that shows it all.
    The exit status is 1 if an image was refused or could not be read; such images count as errors and are listed.
    """
    _check_usage(data_dir, manifest, predictions, model_file, operating_point, threshold, other)
    if (explanations or shortcuts) and predictions is not None:
        raise UsageError(
            "--explanations and --shortcuts test a model, which --predictions has none of; give --data DIR"
        )
    log = None if run is None else run / "log.csv" if run.is_dir() else run
    if log is not None and not log.is_file():
        raise UsageError(f"{run}: no run of `pneumoscope train`, it holds no log.csv")
    make_folder(out)  # now, and not after minutes of judging
    labelled = [] if data_dir is None else _labelled(data_dir, split, manifest)
    if predictions is not None:
        judged = _from_csv(predictions, threshold)
    else:
        judged = _judge(open_model(model_file, operating_point), labelled, operating_point, jobs)
    rival = None if other is None else _rival(other, labelled, operating_point, jobs)
    tested = _test_explanations(judged, seed, jobs) if explanations else None
    drawable = None if no_images else judged.model
    report = evaluate_predictions(
        judged.table,
        threshold=judged.threshold,
        operating_points=judged.operating_points,
        split=split or _default_split(data_dir, manifest, predictions),
        model_info=judged.model_info,
        out=out,
        command=_command_line(ctx),
        operating_point=judged.operating_point,
        render_error=None if drawable is None else _renderer(drawable),
        rival=rival,
        training_log=log,
        explanations=tested,
        render_heatmaps=None if drawable is None or tested is None else _heatmap_renderer(drawable, tested),
        seed=seed,
    )
    click.echo(summary(report))
    if shortcuts:
        click.echo(_test_shortcuts(judged, seed, out / "shortcuts.json"))
    click.echo(f"report  {out / 'index.html'}")
    click.echo(RESEARCH_USE_ONLY)
    if not report.table.judged.all():
        ctx.exit(FAILED)


def summary(report: EvaluationReport) -> str:
    """The main figures with their 95 % intervals, a line each, and who was refused."""
    lines = [f"{report.split}: {len(report.table)} images at {report.threshold:.3f} ({report.operating_point})"]
    for metric, result in report.metrics.items():
        if result.value is None:
            lines.append(f"{metric:<18}  undefined: {result.undefined['value']}")
            continue
        interval = "" if result.ci95 is None else f"  ({result.ci95[0]:.4f} to {result.ci95[1]:.4f})"
        lines.append(f"{metric:<18}  {result.value:.4f}{interval}")
    refused = int((~report.table.judged).sum())
    if refused:
        lines.append(f"{refused} refused or unreadable, counted as errors and listed in report.json")
    return "\n".join(lines)


def _check_usage(
    data_dir: Path | None,
    manifest: Path | None,
    predictions: Path | None,
    model_file: Path | None,
    operating_point: str | None,
    threshold: float | None,
    other: Path | None,
) -> None:
    if (data_dir is None) == (predictions is None):
        raise UsageError("give either --data DIR or --predictions FILE")
    if manifest is not None and data_dir is None:
        raise UsageError("--manifest lists images of a folder: give --data DIR with it")
    if predictions is not None and (model_file is not None or operating_point is not None):
        raise UsageError("--predictions are judged as they are: leave out --model and --operating-point")
    if predictions is None and threshold is not None:
        raise UsageError("--threshold belongs to --predictions; a model is used at its --operating-point")
    if predictions is not None and other is not None and not _is_table(other):
        raise UsageError("--predictions can be compared with a CSV of predictions; with a model, give --data DIR")


def _is_table(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _default_split(data_dir: Path | None, manifest: Path | None, predictions: Path | None) -> str:
    source = manifest or predictions or data_dir
    assert source is not None  # _check_usage
    return source.stem


def _labelled(data_dir: Path, split: str | None, manifest: Path | None) -> list[LabelledImage]:
    if manifest is None:
        from pneumoscope.datasets.registry import find_images

        return find_images(data_dir, split)
    from pneumoscope.datasets.checks import read_checked_manifest

    return read_checked_manifest(manifest, data_dir, role=split)


def _judge(model: Model, images: list[LabelledImage], operating_point: str | None, jobs: int) -> Judged:
    _check_labels(model)
    name, point = model.contract.operating_point(operating_point)
    predictions = model.predict_many([image.path for image in images], jobs=jobs, operating_point=operating_point)
    table = tabulate(images, _with_progress(predictions, len(images)))
    thresholds = {key: value.threshold for key, value in model.contract.operating_points.items()}
    info = {"name": model.info.name, "version": model.info.version, "sha256": model.info.sha256}
    return Judged(table, point.threshold, name, thresholds, info, model)


def _check_labels(model: Model) -> None:
    """A model that tells other things apart would be scored on a question it does not answer."""
    labels, subtypes = model.contract.labels, model.contract.subtypes
    if labels != LABEL_NAMES:
        raise ContractError(
            f"{model.info.name}: tells {' from '.join(labels)}, and the images are labelled {' and '.join(LABEL_NAMES)}"
        )
    if subtypes and set(subtypes) != set(SUBTYPE_NAMES):
        raise ContractError(
            f"{model.info.name}: tells the subtypes {', '.join(subtypes)}; known are {', '.join(SUBTYPE_NAMES)}"
        )


def tabulate(images: list[LabelledImage], predictions: Iterable[Prediction]) -> PredictionTable:
    """Labels and predictions side by side, both in the same order."""
    import numpy as np

    nan = float("nan")
    # Heatmaps are dropped as they come: those of a whole split would fill the memory.
    records = [replace(prediction, heatmap=None) for prediction in predictions]
    told = any(record.subtype is not None for record in records)
    return PredictionTable(
        paths=tuple(str(image.path) for image in images),
        labels=np.array([LABEL_NAMES.index(image.label) for image in images], dtype=np.int64),
        probabilities=np.array([nan if r.probability is None else r.probability for r in records]),
        statuses=tuple(record.status for record in records),
        typicality=np.array([nan if r.typicality is None else r.typicality for r in records]),
        subtypes=tuple(image.subtype for image in images),
        subtype_probabilities=(
            np.array([[(r.subtype or {}).get(name, nan) for name in SUBTYPE_NAMES] for r in records]) if told else None
        ),
        patients=tuple(image.patient if getattr(image, "patient_known", True) else None for image in images),
        sha256=tuple(record.sha256 for record in records),
    )


def _from_csv(file: Path, threshold: float | None) -> Judged:
    table = PredictionTable.read_csv(file)
    if threshold is not None:
        name = "given"
    elif table.threshold is not None:
        threshold, name = table.threshold, "as decided in the table"
    else:
        threshold, name = DEFAULT_THRESHOLD, "default"
        click.echo(f"{file}: says no threshold; {DEFAULT_THRESHOLD} is taken, --threshold changes it", err=True)
    return Judged(table, threshold, name, {}, {"name": file.name})


def _rival(file: Path, images: list[LabelledImage], operating_point: str | None, jobs: int) -> Rival:
    if _is_table(file):
        other = _from_csv(file, None)
    else:
        # Where the second model lacks the operating point, its default is the fair one to take.
        model = open_model(file)
        known = operating_point if operating_point in model.contract.operating_points else None
        other = _judge(model, images, known, jobs)
    return Rival(other.table, other.threshold, other.operating_point, other.model_info)


def _with_progress(predictions: Iterable[Prediction], total: int) -> Iterable[Prediction]:
    if not sys.stderr.isatty():
        return predictions
    from tqdm import tqdm

    bar: Iterable[Prediction] = tqdm(predictions, total=total, unit="image", file=sys.stderr)
    return bar


def _renderer(model: Model) -> Callable[[str], bytes | None]:
    """Draws an image with the model's heatmap."""
    from pneumoscope.drawing.panel import SIDE, panel, panel_png
    from pneumoscope.imaging.reader import read_image

    def render(path: str) -> bytes | None:
        image = read_image(Path(path), target=SIDE)
        prediction = model.predict_image(image, path=path)
        return panel_png(panel(prediction, image, prediction.heatmap, title=Path(path).name), prediction)

    return render


def _test_explanations(judged: Judged, seed: int, jobs: int) -> ExplanationScores:
    """On images that the model called pneumonia: of others its heatmap says nothing."""
    import numpy as np

    from pneumoscope.evaluation.explanations.examine import examine

    assert judged.model is not None  # evaluate() takes no table from elsewhere with --explanations
    table = judged.table
    called = np.flatnonzero(table.decisions(judged.threshold) == 1)
    patients = None if table.patients is None else [table.patients[row] for row in called]
    return examine(judged.model, [table.paths[row] for row in called], patients, seed=seed, jobs=jobs)


def _test_shortcuts(judged: Judged, seed: int, file: Path) -> str:
    """Write what slight changes do to the answers on the judged images, and say it in a line each."""
    import json

    from pneumoscope.evaluation.robustness import check_shortcuts
    from pneumoscope.files import write_atomically
    from pneumoscope.imaging.reader import read_image
    from pneumoscope.imaging.resize import shrink

    assert judged.model is not None  # evaluate() takes no table from elsewhere with --shortcuts
    table, contract = judged.table, judged.model.contract
    rows = table.judged.nonzero()[0]
    pixels = (
        shrink(read_image(Path(table.paths[row])).pixels, width=contract.input_width, height=contract.input_height)
        for row in rows
    )
    patients = None if table.patients is None else [table.patients[row] for row in rows]
    found = check_shortcuts(
        judged.model, pixels, table.labels[rows] == 1, threshold=judged.threshold, patients=patients, seed=seed
    )
    write_atomically(file, (json.dumps(found.to_json(), indent=2) + "\n").encode())
    lines = [f"{r.change:<36}  accuracy {r.accuracy_change:+.4f}  flips {r.flips} of {len(rows)}" for r in found.checks]
    if found.aspect is not None:
        plain, stretched = found.aspect.auc, found.aspect.auc_pneumonia_stretched
        lines.append(f"{'pneumonia stretched, normal squeezed':<36}  AUC {stretched:.4f} (as they are {plain:.4f})")
    return "\n".join([*lines, f"shortcuts  {file}"])


def _heatmap_renderer(model: Model, tested: ExplanationScores) -> Callable[[str], bytes | None]:
    """Draws an image with each of the heatmaps that were tested, side by side."""
    from pneumoscope.drawing.panel import SIDE, panel_png, side_by_side
    from pneumoscope.explain.methods import METHODS
    from pneumoscope.imaging.reader import read_image

    methods = [method for name, method in METHODS.items() if name in tested.scores]

    def render(path: str) -> bytes | None:
        image = read_image(Path(path), target=SIDE)
        heatmaps = {method.title: method.load()(model, image) for method in methods}
        known = {title: heat for title, heat in heatmaps.items() if heat is not None}
        prediction = model.predict_image(image, path=path)
        return panel_png(side_by_side(prediction, image, known, title=Path(path).name), prediction) if known else None

    return render


def _command_line(ctx: click.Context) -> str:
    """The command as it can be typed again."""
    words = ["pneumoscope", "evaluate"]
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        given = ctx.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if given and isinstance(parameter, click.Option):
            words.append(parameter.opts[-1])
            words += [] if parameter.is_flag else [str(value)]
    return shlex.join(words)
