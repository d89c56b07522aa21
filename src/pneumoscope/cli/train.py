"""``pneumoscope train``: one recipe on one data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pneumoscope.datasets.source import LabelledImage


@click.command()
@click.option(
    "--data",
    "data_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with train/ and val/.",
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take images and roles from this manifest of `pneumoscope data split`.",
)
@click.option(
    "--recipe", "recipe_name", required=True, help="Name of a built-in recipe, `lung-field`, or a .toml file."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to write.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train for so many epochs instead of the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and augmentation.")
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Run folder whose best weights to start from, instead of training what the recipe starts from.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Run folder of a network that teaches, instead of training those that the recipe names.",
)
@click.option("--fold", type=int, help="Which of the grouped folds validates; 0, or the manifest's, if not given.")
def train(
    data_dir: Path,
    manifest: Path | None,
    recipe_name: str,
    out: Path,
    *,
    resume: bool,
    epochs: int | None,
    seed: int,
    init: tuple[Path, ...],
    teacher: tuple[Path, ...],
    fold: int | None,
) -> None:
    """Train a recipe on the official train and val folders of DATA, split anew by patient.

    A tenth of the patients, and the lowest tenth of each counter (the time-ordered slice), are held out for
    validation; --manifest gives another split. Stop it when you like: --resume goes on after the last whole epoch,
    to the same result. What a recipe starts from, or is taught by, is trained first, into RUN/NAME.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pneumoscope.training.lungs.recipe import NAME as LUNG_FIELD

    if recipe_name == LUNG_FIELD:
        _train_lung_field(data_dir, out, seed=seed, resume=resume, steps=epochs)
        return
    from pneumoscope.training.prerequisites import train_recipe
    from pneumoscope.training.recipe import load_recipe
    from pneumoscope.training.run_folder import RunFolder

    recipe = load_recipe(recipe_name)
    if epochs is not None:
        recipe = recipe.with_epochs(epochs)
    rows = _split_anew(data_dir, fold or 0) if manifest is None else _as_listed(data_dir, manifest, fold)
    run = train_recipe(
        rows,
        recipe,
        out,
        seed=seed,
        resume=resume,
        initial=[RunFolder(each) for each in init],
        teachers=[RunFolder(each) for each in teacher],
    )
    best = run.read_log()[run.best_epoch() - 1]
    what = f"best epoch {best.epoch} of {recipe.epochs}" if recipe.stages else "joined"
    click.echo(
        f"{run.path}: {recipe.name}, {what}: AUC {best.grouped_auc:.4f} on "
        f"random patients, {best.ordered_auc:.4f} on the time-ordered slice. "
        f"Next: pneumoscope export {run.path} --out DIR"
    )


def _train_lung_field(data_dir: Path, out: Path, *, seed: int, resume: bool, steps: int | None) -> None:
    """The network that finds the lungs: from masks, without classes, roles or folds."""
    import dataclasses
    import json

    from pneumoscope.training.lungs.fit import STEPS_AN_EPOCH, train_lung_field
    from pneumoscope.training.lungs.recipe import load_lung_field_recipe
    from pneumoscope.training.lungs.shipped import find_lungs, has_shipped_weights

    recipe = load_lung_field_recipe()
    if steps is not None:
        recipe = dataclasses.replace(recipe, steps=steps * STEPS_AN_EPOCH)
    judge = (lambda pixels: find_lungs(pixels).masks) if has_shipped_weights() else None
    run = train_lung_field(data_dir, recipe, out, seed=seed, resume=resume, judge=judge)
    report = json.loads(run.report.read_text("utf-8"))
    click.echo(f"{run.path}: {report['n']} pictures held out, Dice {report['dice']['mean']:.3f} on average")


def _split_anew(data_dir: Path, fold: int) -> list[LabelledImage]:
    from pneumoscope.datasets.checks import check_folder
    from pneumoscope.datasets.splits import assign_roles

    splits = [split for split in ("train", "val") if (data_dir / split).is_dir()]
    checked = check_folder(data_dir, splits or None)
    return assign_roles(checked.images, hashes=checked.hashes, fold=fold)


def _as_listed(data_dir: Path, manifest: Path, fold: int | None) -> list[LabelledImage]:
    from pneumoscope.datasets.checks import read_checked_manifest
    from pneumoscope.datasets.splits import roles_for_fold

    rows = read_checked_manifest(manifest, data_dir)
    return rows if fold is None else roles_for_fold(rows, fold)
