"""What each part of the recipes is worth, and how far seeds and folds scatter: ``reports/ablations.json``.

    PNEUMOSCOPE_DATA=DATA python tools/ablations.py RUNS

Every variant is a training in a folder of its own under RUNS: of PneumoNet's recipe at 128 pixels, with as many steps
as six epochs have, unless its name says another length or network. Short trainings at low resolution: what helps here
need not help a long one, so a few are as long as the recipe says. Those whose figures are written already are not
trained again (take their lines out to have them anew), nor those that are finished under RUNS, so the command may be
stopped and given anew. Judged by the last epoch, on both validations, and on the time-ordered slice after each change
of the shortcut checks. Needs cleanlab besides the ``train`` extra.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from trials import (
    EvenSampling,
    averaged_over_cycles,
    build_pneumonet_exposed,
    pretrained_by_contrast,
    without_suspicious,
)

from pneumoscope.datasets.checks import check_folder
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.evaluation.robustness import CHANGES, Change
from pneumoscope.imaging.resize import shrink
from pneumoscope.statistics.odds import balanced_nll, pneumonia_logit, roc_auc
from pneumoscope.training import fit
from pneumoscope.training.batches import load_pixels
from pneumoscope.training.fit import predict_logits, train
from pneumoscope.training.networks import NETWORKS
from pneumoscope.training.recipe import Recipe, Stage, load_recipe
from pneumoscope.training.run_folder import RunFolder

OUT = Path(__file__).resolve().parents[1] / "reports" / "ablations.json"
EPOCHS, SIZE, CYCLES = 6, 128, 3


class Trial(StrEnum):
    """What no recipe can say."""

    EXPOSED_FIELD = "standardised over the exposed field"
    EVEN_SAMPLING = "as many normals as pneumonias drawn"
    SCREENED_LABELS = "suspicious labels left out"
    CONTRAST = "pretrained without labels"
    CYCLES = "weights averaged over cycles"


@dataclass(frozen=True)
class Variant:
    """One training.

    Attributes:
        name: of its folder and its line.
        changes: of the recipe.
        augmentation: changes of the recipe's augmentation.
        seed: of weights, order and augmentation.
        fold: the grouped fold that validates.
        folds: how many there are.
        stages: epochs and image sizes.
        trial: a way to train that no recipe has.
        recipe: that is changed.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    fold: int = 0
    folds: int = 10
    stages: tuple[Stage, ...] = (Stage(EPOCHS, SIZE),)
    trial: Trial | None = None
    recipe: str = "pneumonet"


STRAIGHT = dict.fromkeys(("rotation", "shift", "zoom", "aspect", "flip"), 0.0)
SLIGHT = {"rotation": 5.0, "shift": 0.03, "zoom": 0.06, "aspect": 0.05, "flip": 0.0}
HARD = {"frame": 0.3, "tone": 0.8, "sharpen": 0.5}
FULL, STAGES = {"ema": 0.995}, (Stage(12, SIZE), Stage(5, 224))
lite0 = partial(Variant, stages=(Stage(4, SIZE),), recipe="lite0")

SEEDS = (Variant("base"), *(Variant(f"seed {seed}", seed=seed) for seed in (1, 2)))
VARIANTS = (
    *SEEDS,
    *(Variant(f"fold {fold}", fold=fold) for fold in (1, 2)),
    Variant("standardised over the exposed field", trial=Trial.EXPOSED_FIELD),
    Variant("standardised over the exposed field, seed 1", seed=1, trial=Trial.EXPOSED_FIELD),
    Variant("as many normals as pneumonias drawn", {"balanced": False}, trial=Trial.EVEN_SAMPLING),
    Variant("first at 64 pixels", stages=(Stage(8, SIZE // 2), Stage(4, SIZE))),
    Variant("suspicious labels left out", trial=Trial.SCREENED_LABELS),
    Variant("pretrained without labels by contrast", trial=Trial.CONTRAST),
    Variant("no moving average of weights", {"ema": 0.0, "statistics_batches": 0}),
    Variant("weights averaged over 3 cycles (SWA)", {"ema": 0.0}, trial=Trial.CYCLES),
    Variant("mixup 0.2", {"mixup": 0.2}),
    Variant("CutMix 1", {"cutmix": 1.0}),
    Variant("frames, tone and sharpening too", augmentation=HARD),
    Variant(
        "no photometric augmentation",
        augmentation=dict.fromkeys(("gamma", "contrast", "brightness", "blur", "noise", "border", "erase"), 0.0),
    ),
    Variant("no geometric augmentation", augmentation=STRAIGHT),
    Variant("no geometric augmentation, seed 1", augmentation=STRAIGHT, seed=1),
    Variant("no flip", augmentation={"flip": 0.0}),
    *(Variant(f"no {part}", augmentation={part: 0.0}) for part in ("rotation", "shift", "zoom", "aspect")),
    Variant("no flip, the rest of geometry halved", augmentation=SLIGHT),
    Variant("no geometry, frames, tone and sharpening too", augmentation=STRAIGHT | HARD),
    Variant("no geometry, exposed field", augmentation=STRAIGHT, trial=Trial.EXPOSED_FIELD),
    Variant("aspect ratio varied by 50 %", augmentation={"aspect": 0.5}),
    Variant("no geometry but aspect ratio varied by 50 %", augmentation=STRAIGHT | {"aspect": 0.5}),
    Variant("no label smoothing", {"label_smoothing": 0.0}),
    Variant("classes not balanced", {"balanced": False}),
    Variant("two classes", {"classes": 2}),
    Variant("fold 3", fold=3),
    Variant("fold 4", fold=4),
    Variant("full length", FULL, stages=STAGES),
    Variant("full length, no geometry", FULL, augmentation=STRAIGHT, stages=STAGES),
    Variant("full length, no geometry, seed 1", FULL, augmentation=STRAIGHT, stages=STAGES, seed=1),
    *(
        Variant(name, FULL, STRAIGHT | HARD | {"aspect": aspect}, stages=STAGES, trial=Trial.EXPOSED_FIELD)
        for name, aspect in {
            "full length, no geometry, frames, tone, sharpening, exposed field": 0.0,
            "full length, no geometry but aspect ratio by 25 %, frames, tone, sharpening, exposed field": 0.25,
            "full length, no geometry but aspect ratio by 50 %, frames, tone, sharpening, exposed field": 0.5,
        }.items()
    ),
    lite0("EfficientNet-Lite0"),
    lite0("EfficientNet-Lite0, seed 1", seed=1),
    lite0("EfficientNet-Lite0, no geometry", augmentation=STRAIGHT),
    lite0("EfficientNet-Lite0, no geometry, seed 1", augmentation=STRAIGHT, seed=1),
    lite0("EfficientNet-Lite0, no geometry but aspect ratio varied by 50 %", augmentation=STRAIGHT | {"aspect": 0.5}),
    lite0(
        "EfficientNet-Lite0, no geometry but aspect ratio by 50 %, frames, tone, sharpening",
        augmentation=STRAIGHT | HARD | {"aspect": 0.5},
    ),
)

HALVES = tuple(Variant(f"half {half}", fold=half, folds=2) for half in (0, 1))
"""Each judges what the other was trained on, to find suspicious labels."""


def recipe_of(variant: Variant) -> Recipe:
    """The variant's recipe, shortened and changed."""
    base = load_recipe(variant.recipe)
    augmentation = dataclasses.replace(base.augmentation, **variant.augmentation)
    settings: dict[str, Any] = {"statistics_batches": 20, "ema": 0.99, **variant.changes}
    if variant.trial is Trial.EXPOSED_FIELD:
        settings["network"] = "pneumonet-exposed"
    return dataclasses.replace(base, stages=variant.stages, augmentation=augmentation, **settings)


@cache
def rows_of(data: Path, fold: int, folds: int) -> list[LabelledImage]:
    """The training folder's images with their roles."""
    checked = check_folder(data, ["train", "val"])
    return assign_roles(checked.images, hashes=checked.hashes, fold=fold, folds=folds)


def judged(*runs: RunFolder, size: int) -> dict[str, float | str]:
    """The last epoch's mean log odds over the runs on both validations, and on the slice changed.

    Changed by what harms most, and so that both classes are squashed alike: pneumonias, whose files are wider,
    stretched, normals squeezed.
    """
    import keras

    models = [keras.models.load_model(run.last(run.read_log()[-1].epoch), compile=False) for run in runs]
    rows = runs[0].read_manifest()
    sets = {
        role: load_pixels([row for row in rows if row.role is role], what=f"{role} images")
        for role in (Role.GROUPED, Role.ORDERED)
    }

    def logits(role: Role, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> NDArray[np.float64]:
        pixels = np.stack([shrink(change(image), width=size, height=size) for image in sets[role].pixels])
        logit = [pneumonia_logit(predict_logits(model, pixels)) for model in models]
        mean: NDArray[np.float64] = np.mean(logit, axis=0)
        return mean

    positive = sets[Role.ORDERED].positive
    changed = {change: logits(Role.ORDERED, apply) for change, apply in CHANGES.items()}
    together = np.where(positive, changed.pop(Change.WIDENED), changed.pop(Change.NARROWED))
    worst = max(changed, key=lambda change: balanced_nll(changed[change], positive))
    judged_logits = {
        "grouped": logits(Role.GROUPED, np.array),
        "ordered": logits(Role.ORDERED, np.array),
        "worst": changed[worst],
        "together": together,
    }
    figures: dict[str, float | str] = {"worst_change": worst.value}
    for name, logit in judged_logits.items():
        truth = sets[Role.GROUPED].positive if name == "grouped" else positive
        figures |= {f"{name}_nll": balanced_nll(logit, truth), f"{name}_auc": roc_auc(logit, truth)}
    return figures


def trained(variant: Variant, data: Path, runs: Path) -> tuple[RunFolder, int]:
    """The finished run, and how many images it was trained on."""
    rows = rows_of(data, variant.fold, variant.folds)
    with ExitStack() as patches:
        if variant.trial is Trial.EXPOSED_FIELD:
            patches.enter_context(mock.patch.dict(NETWORKS, {"pneumonet-exposed": build_pneumonet_exposed}))
        if variant.trial is Trial.EVEN_SAMPLING:
            patches.enter_context(mock.patch.object(fit, "TrainingBatches", EvenSampling))
        if variant.trial is Trial.SCREENED_LABELS:
            rows = without_suspicious(rows, [trained(half, data, runs)[0] for half in HALVES])
        tqdm.write(variant.name, file=sys.stderr)
        recipe, folder, initial = recipe_of(variant), runs / folder_of(variant), None
        if variant.trial is Trial.CONTRAST:
            initial = pretrained_by_contrast(rows, recipe, runs / "contrast", EPOCHS)
        if variant.trial is Trial.CYCLES:
            run = averaged_over_cycles(rows, recipe, folder, CYCLES)
        else:
            run = train(rows, recipe, folder, seed=variant.seed, resume=True, initial=initial)
    return run, sum(row.role is Role.TRAIN for row in rows)


def folder_of(variant: Variant) -> str:
    """The run's name under RUNS."""
    return variant.name.translate(str.maketrans(" ", "-", ",()"))


def judged_once(file: Path, *runs: RunFolder, size: int = SIZE) -> dict[str, Any]:
    """What ``judged`` says, kept in a file: it takes a minute."""
    if not file.exists():
        file.write_text(json.dumps(judged(*runs, size=size)), encoding="utf-8")
    figures: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return figures


def as_line(variant: Variant) -> dict[str, Any]:
    """How JSON tells the variant."""
    line: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(variant)))
    return line


def measured(variant: Variant, written: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The variant's figures in an earlier report; none if it was another training by the same name."""
    wanted = as_line(variant)
    return next((line for line in written if {key: line.get(key) for key in wanted} == wanted), None)


def main() -> None:
    """Train what is missing and write the figures of all that are finished after each."""
    runs, data = Path(sys.argv[1]), Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224"
    report = json.loads(OUT.read_text("utf-8")) if OUT.exists() else {"variants": [], "ensembles": []}
    lines: list[dict[str, Any]] = []
    for variant in VARIANTS:
        line = measured(variant, report["variants"])
        if line is None:
            run, images = trained(variant, data, runs)
            figures = judged_once(run.path / "judged.json", run, size=variant.stages[-1].size)
            line = {**as_line(variant), "training_images": images, **figures}
        lines.append(line)
        if variant == SEEDS[-1] and not report["ensembles"]:
            seeds = [trained(seed, data, runs)[0] for seed in SEEDS]
            name = f"mean of the {len(seeds)} seeds' log odds"
            report["ensembles"] = [{"name": name, **judged_once(runs / "seeds.json", *seeds)}]
        later = [line for line in map(partial(measured, written=report["variants"]), VARIANTS[len(lines) :]) if line]
        text = json.dumps({"variants": lines + later, "ensembles": report["ensembles"]}, indent=2) + "\n"
        OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
