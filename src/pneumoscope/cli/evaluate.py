"""``pneumoscope evaluate``: measure a model, or a table of predictions, on labelled images."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.opening import FILE, model_option, open_model, operating_point_option
from pneumoscope.errors import UsageError
from pneumoscope.evaluation import answers
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.evaluation.score import DEFAULT, DEFAULT_THRESHOLD, from_csv
from pneumoscope.evaluation.score import evaluate as score
from pneumoscope.files import make_folder
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics.compare import Rival
from pneumoscope.statistics.table import PredictionTable

if TYPE_CHECKING:
    from pneumoscope.datasets.source import LabelledImage
    from pneumoscope.evaluation.by_shortcut import ByShortcut
    from pneumoscope.evaluation.examples import Draw
    from pneumoscope.evaluation.exchange import Pixels
    from pneumoscope.evaluation.explanations.summary import ExplanationScores
    from pneumoscope.evaluation.report import EvaluationReport
    from pneumoscope.model.classifier import Model


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
@click.option("--site", is_flag=True, help="Say what the answers are worth here, and how many images to label.")
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
    site: bool,
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
    model = open_model(model_file, operating_point) if predictions is None else None
    if model is not None:
        table = score(model, labelled, operating_point=operating_point, jobs=jobs)
    else:
        assert predictions is not None  # _check_usage
        table = _from_csv(predictions, threshold)
    rival = None if other is None else _rival(other, labelled, operating_point, jobs)
    tested = _test_explanations(model, table, seed, jobs) if explanations and model is not None else None
    drawable = None if no_images else model
    report = evaluate_predictions(
        table,
        threshold=_threshold(table),
        operating_points=table.operating_points,
        split=split or _default_split(data_dir, manifest, predictions),
        model_info=table.model,
        out=out,
        command=_command_line(ctx),
        operating_point=table.operating_point,
        render_error=None if drawable is None else _with_heatmap(drawable),
        rival=rival,
        training_log=log,
        explanations=tested,
        render_heatmaps=None if drawable is None or tested is None else _with_tested_heatmaps(drawable, tested),
        conformal=None if model is None else model.contract.conformal,
        seed=seed,
    )
    click.echo(summary(report))
    if shortcuts and model is not None:
        click.echo(_test_shortcuts(model, table, seed, out / "shortcuts.json"))
    if site:
        click.echo("\n".join(answers.lines(report.answers)))
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
    if report.by_shortcut is not None:
        lines += _shortcut_lines(report.by_shortcut)
    refused = int((~report.table.judged).sum())
    if refused:
        lines.append(f"{refused} refused or unreadable, counted as errors and listed in report.json")
    return "\n".join(lines)


def _shortcut_lines(found: ByShortcut) -> list[str]:
    """What can be told of these images without lungs, and the model where that misleads."""
    told = "" if found.score_auc is None else f"  told without lungs with AUC {found.score_auc:.4f}"
    lines = [f"{'by shortcut score':<18}  {found.scored} images{told}"]
    if (against := found.conflicting_auc) is not None and found.conflicting_auc_ci95 is not None:
        low, high = found.conflicting_auc_ci95
        n = sum(rate.n for rate in found.conflicting.values())
        lines.append(f"{'auc, conflicting':<18}  {against:.4f}  ({low:.4f} to {high:.4f}), {n} images")
    if (worst := found.worst_json()) is not None:
        rate = worst.get("specificity", worst.get("sensitivity"))
        where = f"{worst['label']} with scores {worst['from']:g} to {worst['to']:g}, {worst['n']} images"
        lines.append(f"{'worst group':<18}  {rate:.4f}  {where}")
    return lines


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


def _from_csv(file: Path, threshold: float | None) -> PredictionTable:
    table = from_csv(file, threshold)
    if table.operating_point == DEFAULT:
        click.echo(f"{file}: says no threshold; {DEFAULT_THRESHOLD} is taken, --threshold changes it", err=True)
    return table


def _threshold(table: PredictionTable) -> float:
    assert table.threshold is not None  # score() and from_csv() set it
    return table.threshold


def _with_heatmap(model: Model) -> Draw:
    from pneumoscope.evaluation.examples import with_heatmap

    return with_heatmap(model)


def _with_tested_heatmaps(model: Model, tested: ExplanationScores) -> Draw:
    from pneumoscope.evaluation.examples import with_tested_heatmaps

    return with_tested_heatmaps(model, tested)


def _rival(file: Path, images: list[LabelledImage], operating_point: str | None, jobs: int) -> Rival:
    if _is_table(file):
        other = _from_csv(file, None)
    else:
        # Where the second model lacks the operating point, its default is the fair one to take.
        model = open_model(file)
        known = operating_point if operating_point in model.contract.operating_points else None
        other = score(model, images, operating_point=known, jobs=jobs)
    return Rival(other, _threshold(other), other.operating_point, other.model)


def _test_explanations(model: Model, table: PredictionTable, seed: int, jobs: int) -> ExplanationScores:
    """On images that the model called pneumonia: of others its heatmap says nothing."""
    import numpy as np

    from pneumoscope.evaluation.explanations.examine import examine

    called = np.flatnonzero(table.decisions(_threshold(table)) == 1)
    patients = None if table.patients is None else [table.patients[row] for row in called]
    return examine(model, [table.paths[row] for row in called], patients, seed=seed, jobs=jobs)


def _test_shortcuts(model: Model, table: PredictionTable, seed: int, file: Path) -> str:
    """Write what slight changes do to the answers on the judged images, and say it in a line each."""
    import json
    from dataclasses import replace

    import numpy as np

    from pneumoscope.evaluation.exchange import IMAGES, check_exchange
    from pneumoscope.evaluation.robustness import check_shortcuts
    from pneumoscope.files import write_atomically
    from pneumoscope.imaging.reader import read_image
    from pneumoscope.imaging.resize import shrink

    contract, rows = model.contract, table.judged.nonzero()[0]

    def read(row: int) -> Pixels:
        pixels = read_image(Path(table.paths[row])).pixels
        return shrink(pixels, width=contract.input_width, height=contract.input_height)

    pixels = (read(int(row)) for row in rows)
    patients = None if table.patients is None else [table.patients[row] for row in rows]
    found = check_shortcuts(
        model, pixels, table.labels[rows] == 1, threshold=_threshold(table), patients=patients, seed=seed
    )
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:IMAGES])
    exchange = check_exchange(
        model,
        [read(int(row)) for row in drawn],
        table.labels[drawn] == 1,
        None if table.patients is None else [table.patients[row] for row in drawn],
        threshold=_threshold(table),
        seed=seed,
    )
    found = replace(found, exchange=exchange)
    write_atomically(file, (json.dumps(found.to_json(), indent=2) + "\n").encode())
    lines = [f"{r.change:<36}  accuracy {r.accuracy_change:+.4f}  flips {r.flips} of {len(rows)}" for r in found.checks]
    if found.aspect is not None:
        plain, stretched = found.aspect.auc, found.aspect.auc_pneumonia_stretched
        lines.append(f"{'pneumonia stretched, normal squeezed':<36}  AUC {stretched:.4f} (as they are {plain:.4f})")
    lines += [
        f"{f'surroundings of another, {result.partner}':<36}  mean change {result.mean_probability_change:.4f}  "
        f"flips {result.flips} of {result.images}{'' if result.passed else '  NOT PASSED'}"
        for result in exchange.results
    ]
    return "\n".join([*lines, f"shortcuts  {file}"])


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
