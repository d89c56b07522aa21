"""``pneumoscope calibrate``: fit a model's scale, operating points and band to a site's own labelled images."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pneumoscope.cli.main import FAILED
from pneumoscope.cli.models import describe_points
from pneumoscope.cli.opening import FILE
from pneumoscope.errors import UsageError
from pneumoscope.model.contract import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pneumoscope.calibration.site import SiteScores
    from pneumoscope.datasets.source import LabelledImage
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.prediction import Prediction


@click.command()
@click.argument("model_file", type=FILE, metavar="MODEL")
@click.option(
    "--data", "data_dir", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Labelled images."
)
@click.option("--split", metavar="NAME", help="Folder of DIR that holds NORMAL and PNEUMONIA.")
@click.option("--site", metavar="WORDS", help="What the images are, for the contract; the folder's name by default.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Images judged at the same time.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE", help="The new model."
)
@click.pass_context
def calibrate(
    ctx: click.Context, model_file: Path, data_dir: Path, split: str | None, site: str | None, jobs: int, out: Path
) -> None:
    """Calibrate MODEL on a site's own labelled images and write a new one-file model.

    Scores then are probabilities where half of the patients have pneumonia; the operating points and the band in which
    the model does not know are chosen anew and measured by cross-fitting. At least 100 images of each class should be
    there. Nothing is written over. The exit status is 1 if an image was refused or could not be read; it is left out.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already, and nothing is written over; give another --out")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}")
    from pneumoscope.calibration.site import calibrated_model, check_enough, fit_site, reread
    from pneumoscope.datasets.registry import find_images
    from pneumoscope.files import write_atomically
    from pneumoscope.model.classifier import Model
    from pneumoscope.model.packaging import read_package

    images = find_images(data_dir, split)
    package = read_package(model_file)
    model = Model(package, origin=str(model_file))
    scores, refused = _score(model, images, site or (data_dir / (split or "")).resolve().name, jobs)
    for prediction in refused:
        click.echo(f"left out: {'; '.join(prediction.reasons)}", err=True)
    for warning in check_enough(scores):
        click.echo(f"few images: {warning}", err=True)
    content = calibrated_model(package, fit_site(scores))
    contract = reread(content).contract
    write_atomically(out, content)
    normals, pneumonias = scores.counts()
    click.echo(f"{pneumonias} pneumonias and {normals} normals of {scores.site}; {len(refused)} left out")
    for line in describe_points(contract):
        click.echo(line)
    click.echo(f"model  {out}\n{RESEARCH_USE_ONLY}")
    if refused:
        ctx.exit(FAILED)


def _score(model: Model, images: list[LabelledImage], site: str, jobs: int) -> tuple[SiteScores, list[Prediction]]:
    """The scores of what could be judged, and the records of what could not."""
    import numpy as np

    from pneumoscope.calibration.site import SiteScores
    from pneumoscope.labels import Label

    probabilities, labels, patients, refused = [], [], [], []
    judged = _with_progress(model.predict_many([image.path for image in images], jobs=jobs), len(images))
    for image, prediction in zip(images, judged, strict=True):
        if prediction.probability is None:
            refused.append(prediction)
            continue
        probabilities.append(prediction.probability)
        labels.append(int(image.label is Label.PNEUMONIA))
        patients.append(image.patient if image.patient_known else str(image.path))
    return SiteScores(np.array(probabilities), np.array(labels, dtype=np.int64), patients, site), refused


def _with_progress(predictions: Iterable[Prediction], total: int) -> Iterable[Prediction]:
    if not sys.stderr.isatty():
        return predictions
    from tqdm import tqdm

    bar: Iterable[Prediction] = tqdm(predictions, total=total, unit="image", file=sys.stderr)
    return bar
