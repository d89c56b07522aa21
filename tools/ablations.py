"""What each part of PneumoNet's recipe is worth, and how far seeds and folds scatter: ``reports/ablations.json``.

    PNEUMOSCOPE_DATA=DATA python tools/ablations.py RUNS

Every variant is a short training at 128 pixels, six epochs, in a folder of its own under RUNS; those that are finished
there are not trained again, so the command may be stopped and given anew. Judged by the last epoch, on both
validations, and on the time-ordered slice after each change of the shortcut checks. Short trainings at low resolution:
what helps here need not help a long one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pneumoscope.data.checks import check_folder
from pneumoscope.data.splits import ManifestRow, Role, assign_roles
from pneumoscope.explain.shortcuts import CHANGES, Change
from pneumoscope.preprocess import shrink
from pneumoscope.training.fit import balanced_nll, pneumonia_logit, predict_logits, roc_auc, train
from pneumoscope.training.pipeline import load_pixels
from pneumoscope.training.recipe import Recipe, Stage, load_recipe
from pneumoscope.training.runs import RunFolder

OUT = Path(__file__).resolve().parents[1] / "reports" / "ablations.json"
EPOCHS, SIZE = 6, 128


@dataclass(frozen=True)
class Variant:
    """One training.

    Attributes:
        name: of its folder and its line.
        changes: of the recipe.
        augmentation: changes of the recipe's augmentation.
        seed: of weights, order and augmentation.
        fold: the grouped fold that validates.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    fold: int = 0


VARIANTS = (
    Variant("base"),
    *(Variant(f"seed {seed}", seed=seed) for seed in (1, 2)),
    *(Variant(f"fold {fold}", fold=fold) for fold in (1, 2)),
    Variant("no moving average of weights", {"ema": 0.0, "statistics_batches": 0}),
    Variant("mixup 0.2", {"mixup": 0.2}),
    Variant("CutMix 1", {"cutmix": 1.0}),
    Variant("frames, tone and sharpening too", augmentation={"frame": 0.3, "tone": 0.8, "sharpen": 0.5}),
    Variant(
        "no photometric augmentation",
        augmentation=dict.fromkeys(("gamma", "contrast", "brightness", "blur", "noise", "border", "erase"), 0.0),
    ),
    Variant(
        "no geometric augmentation",
        augmentation=dict.fromkeys(("rotation", "shift", "zoom", "aspect", "flip"), 0.0),
    ),
    Variant("no label smoothing", {"label_smoothing": 0.0}),
    Variant("classes not balanced", {"balanced": False}),
    Variant("two classes", {"classes": 2}),
    Variant("fold 3", fold=3),
    Variant("fold 4", fold=4),
)


def recipe_of(variant: Variant) -> Recipe:
    """PneumoNet's recipe, shortened and changed."""
    base = load_recipe("pneumonet")
    augmentation = dataclasses.replace(base.augmentation, **variant.augmentation)
    settings: dict[str, Any] = {"statistics_batches": 20, "ema": 0.99, **variant.changes}
    return dataclasses.replace(base, stages=(Stage(EPOCHS, SIZE),), augmentation=augmentation, **settings)


@cache
def rows_of(data: Path, fold: int) -> list[ManifestRow]:
    """The training folder's images with their roles."""
    checked = check_folder(data, ["train", "val"])
    return assign_roles(checked.images, hashes=checked.hashes, fold=fold)


def judged(run: RunFolder) -> dict[str, float | str]:
    """The last epoch on both validations, and the change that does the ordered slice the most harm."""
    import keras

    last = run.read_log()[-1]
    model = keras.models.load_model(run.last(last.epoch), compile=False)
    slice_ = load_pixels([row for row in run.read_manifest() if row.role is Role.ORDERED], what="ordered images")
    nll: dict[Change, float] = {}
    auc: dict[Change, float] = {}
    for name, change in CHANGES.items():
        pixels = np.stack([shrink(change(image), width=SIZE, height=SIZE) for image in slice_.pixels])
        logit = pneumonia_logit(predict_logits(model, pixels))
        nll[name], auc[name] = balanced_nll(logit, slice_.positive), roc_auc(logit, slice_.positive)
    worst = max(nll, key=lambda name: nll[name])
    return {
        "grouped_auc": last.grouped_auc,
        "grouped_nll": last.grouped_nll,
        "ordered_auc": last.ordered_auc,
        "ordered_nll": last.ordered_nll,
        "worst_change": worst.value,
        "worst_nll": nll[worst],
        "worst_auc": auc[worst],
    }


def main() -> None:
    """Train what is missing and write the figures of all that are finished after each."""
    runs, data = Path(sys.argv[1]), Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224"
    lines: list[dict[str, Any]] = []
    for variant in VARIANTS:
        tqdm.write(variant.name, file=sys.stderr)
        recipe, rows = recipe_of(variant), rows_of(data, variant.fold)
        folder = runs / variant.name.replace(" ", "-")
        run = train(rows, recipe, folder, seed=variant.seed, resume=True)
        lines.append({**dataclasses.asdict(variant), **judged(run)})
        text = json.dumps({"epochs": EPOCHS, "size": SIZE, "variants": lines}, indent=2) + "\n"
        OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
