"""``pneumoscope train``: one recipe on one data folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pneumoscope.datasets.source import LabelledImage


@click.command()
@click.option(
    "--data",
    "data_dirs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    multiple=True,
    help="Folder with train/ and val/, or of NIH ChestX-ray14; may be given several times. Where it holds "
    "chest_xray_224 and adults_nih, those are taken.",
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
    "--member",
    type=click.IntRange(min=0),
    help="Train only the member that does not see this fold, so that several can be trained at once; "
    "without it and with --resume they are joined.",
)
def train(
    data_dirs: tuple[Path, ...],
    manifest: Path | None,
    recipe_name: str,
    out: Path,
    *,
    resume: bool,
    epochs: int | None,
    seed: int,
    member: int | None,
) -> None:
    """Train a recipe on the official train and val folders of DATA, divided anew into folds by patient.

    Each member of a recipe is trained on all folds but one and scores that one; members are joined into one network.
    --manifest gives other folds. Stop it when you like: --resume goes on after the last whole epoch, to the same
    result.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pneumoscope.training.lungs.recipe import NAME as LUNG_FIELD

    if recipe_name == LUNG_FIELD:
        _train_lung_field(data_dirs[0], out, seed=seed, resume=resume, steps=epochs)
        return
    from pneumoscope.training.members import train_recipe
    from pneumoscope.training.recipe import load_recipe

    recipe = load_recipe(recipe_name)
    if epochs is not None:
        recipe = recipe.with_epochs(epochs)
    images = _divided(data_dirs, recipe.folds) if manifest is None else _as_listed(data_dirs[0], manifest)
    run = train_recipe(images, recipe, out, seed=seed, resume=resume, only=member)
    last = run.read_log()[-1]
    click.echo(
        f"{run.path}: {recipe.name}, epoch {last.epoch} of {recipe.epochs}: AUC {last.grouped_auc:.4f} on the patients "
        f"of a fold that was held out. Next: pneumoscope export {run.path} --out DIR"
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


_FOLDERS_OF_BOTH = ("chest_xray_224", "adults_nih")


def _divided(data_dirs: Sequence[Path], folds: int) -> list[LabelledImage]:
    from pneumoscope.datasets.checks import check_folder
    from pneumoscope.datasets.splits import assign_roles

    images: list[LabelledImage] = []
    hashes: list[str] = []
    for folder in _sources_in(data_dirs):
        splits = [split for split in ("train", "val") if (folder / split).is_dir()]
        checked = check_folder(folder, splits or None)
        images += checked.images
        hashes += checked.hashes
    return assign_roles(images, hashes=hashes, folds=folds, ordered_fraction=0.0)


def _sources_in(folders: Sequence[Path]) -> list[Path]:
    """The folders given, or those of both sources inside one that holds them."""
    both = [[folder / name for name in _FOLDERS_OF_BOTH] for folder in folders]
    return [
        each
        for folder, inside in zip(folders, both, strict=True)
        for each in (inside if all(one.is_dir() for one in inside) else [folder])
    ]


def _as_listed(data_dir: Path, manifest: Path) -> list[LabelledImage]:
    from pneumoscope.datasets.checks import read_checked_manifest

    return read_checked_manifest(manifest, data_dir)
