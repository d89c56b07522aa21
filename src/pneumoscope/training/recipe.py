"""A recipe: everything that decides a training run, read from one small TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pneumoscope.errors import TrainingError, UsageError

PICTURE_SIZE = 224
"""Height and width in pixels of the whole pictures that every exported graph takes."""


@dataclass(frozen=True)
class Stage:
    """Some epochs at one image size (progressive resolution).

    Attributes:
        epochs: how many.
        size: height and width of the training images, pixels.
    """

    epochs: int
    size: int = PICTURE_SIZE


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied; a magnitude of 0 turns a step off.

    Attributes:
        rotation: largest rotation, degrees.
        shift: largest shift, fraction of the side.
        zoom: largest change of scale, fraction.
        aspect: largest change of the aspect ratio, fraction.
        box: largest shift of each side of the box that is seen, fraction of its width or height.
        flip: probability of a left-right flip.
        gamma: largest absolute log2 of the gamma exponent.
        contrast: largest change of contrast, fraction.
        brightness: largest change of brightness, fraction of the full range.
        invert: probability of inverting the grey scale.
        blur: probability of a Gaussian blur of up to 1.5 pixels.
        noise: largest standard deviation of Gaussian noise, grey levels.
        border: probability of black side borders of up to 12 % of the width.
        erase: probability of erasing a rectangle in the upper corners, where side markers stand.
        tone: largest strength, up to 1, of a smooth curve that makes middle greys steeper or flatter.
        sharpen: probability of an unsharp mask, as detectors' software applies.
        frame: probability of a black frame, as of collimation, of up to 10 % on each of the four sides.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    aspect: float = 0.0
    flip: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    invert: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    border: float = 0.0
    erase: float = 0.0
    tone: float = 0.0
    sharpen: float = 0.0
    frame: float = 0.0
    box: float = 0.0


class InitialWeights(StrEnum):
    """Where training starts."""

    FRESH = "fresh"
    IMAGENET = "imagenet"


@dataclass(frozen=True)
class Recipe:
    """One training recipe.

    Attributes:
        name: of the recipe; models are named after their network.
        network: a key of ``training.networks.NETWORKS``.
        classes: 2 (one logit) or 3 (normal, bacterial, viral, read as two).
        stages: epochs and image sizes, in order.
        batch_size: images per step.
        learning_rate: at the peak of the schedule (linear warm-up, then cosine to zero).
        warmup: share of all steps spent warming up.
        weight_decay: of AdamW, on all weights.
        label_smoothing: share of the target spread evenly over the classes.
        ema: momentum of a moving average of the weights that replaces them at the end of every epoch, which is
            then evaluated, saved and trained on (close to Lookahead, Zhang et al. 2019, arXiv 1907.08610);
            0 turns it off.
        statistics_batches: training batches that batch normalisation's statistics are estimated anew from at the
            end of every epoch, because those kept while training belong to weights that `ema` has replaced
            (Izmailov et al. 2018, arXiv 1803.05407); 0 leaves them.
        balanced: weigh the loss so that normal and pneumonia count alike.
        weights: what to start from, `fresh` or `imagenet`.
        mixup: parameter of the Beta distribution that says how two images are averaged; 0 turns it off.
        cutmix: the same for a rectangle of one pasted into the other. Where both are on, each batch draws one.
        augmentation: how training images are varied.
        lung_field: show the network the box around the lungs, as the exported graph finds it, in place of the whole
            picture; stages then give the size of that square.
        adults: share of each batch that comes from other sources than the largest one (adults, where that one is of
            children); each source gives as many normals as pneumonias, so that the source tells nothing. 0 draws
            from all images alike.
        shortcut_balance: share of the draws in which, within the largest source, images whose framing contradicts
            their label are drawn as often as those whose framing foretells it (overlap weights of the shortcut score,
            Li et al. 2018, doi 10.1080/01621459.2016.1260466); needs `adults` above 0.
        folds: parts by patient; the images of each are scored by a network that was not trained on them.
        members: networks trained, each on all folds but its own, from the first fold on; more than one are joined.
    """

    name: str
    network: str
    stages: tuple[Stage, ...]
    classes: int = 3
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    ema: float = 0.0
    statistics_batches: int = 0
    balanced: bool = True
    weights: InitialWeights = InitialWeights.FRESH
    mixup: float = 0.0
    cutmix: float = 0.0
    augmentation: Augmentation = Augmentation()
    lung_field: bool = False
    adults: float = 0.0
    shortcut_balance: float = 0.0
    folds: int = 10
    members: int = 1

    @property
    def network_size(self) -> int:
        """Height and width in pixels of what the finished network takes: the lungs' square, or the whole picture."""
        return self.final_size if self.lung_field else PICTURE_SIZE

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def final_size(self) -> int:
        """Image size in pixels of the last stage."""
        return self.stages[-1].size

    def size_at(self, epoch: int) -> int:
        """Image size in pixels during this epoch, counted from 0."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.size
            epoch -= stage.epochs
        return self.stages[-1].size

    def with_epochs(self, epochs: int) -> Recipe:
        """The same recipe shortened or lengthened; every stage keeps its share where that is possible."""
        if epochs < 1:
            raise TrainingError(f"epochs: {epochs}, at least 1 needed")
        ends, passed = [], 0
        for stage in self.stages:
            passed += stage.epochs
            ends.append(round(passed * epochs / self.epochs))
        counts = [end - begin for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        stages = tuple(
            dataclasses.replace(stage, epochs=count) for stage, count in zip(self.stages, counts, strict=True) if count
        )
        return dataclasses.replace(self, stages=stages)


T = TypeVar("T")


def _build(kind: type[T], values: dict[str, Any], origin: str) -> T:
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise TrainingError(f"{origin}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise TrainingError(f"{origin}: {error}") from error


def parse_recipe(text: str, origin: str) -> Recipe:
    """Read a recipe from TOML.

    Raises:
        TrainingError: not TOML, unknown keys, missing keys or impossible values.
    """
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{origin}: not a TOML file ({error})") from error
    return recipe_from_values(values, origin)


def recipe_from_values(values: dict[str, Any], origin: str) -> Recipe:
    """Build a recipe from plain values, of TOML or of a run's JSON, and check it.

    Args:
        values: by the names of :class:`Recipe`'s fields; ``stages`` and ``augmentation`` are tables of their own.
        origin: what messages call it.

    Raises:
        TrainingError: unknown keys, missing keys or impossible values.
    """
    values = dict(values)
    stages = tuple(_build(Stage, stage, f"{origin}, stages") for stage in values.pop("stages", []))
    augmentation = _build(Augmentation, values.pop("augmentation", {}), f"{origin}, augmentation")
    weights = values.pop("weights", InitialWeights.FRESH)
    if weights not in tuple(InitialWeights):
        raise TrainingError(f"{origin}: weights is '{weights}', must be one of {', '.join(InitialWeights)}")
    nested = {
        "stages": stages,
        "augmentation": augmentation,
        "weights": InitialWeights(weights),
    }
    recipe = _build(Recipe, {**values, **nested}, origin)
    if not stages or any(stage.epochs < 1 or stage.size < 32 for stage in stages):
        raise TrainingError(f"{origin}: needs stages of at least 1 epoch and 32 pixels")
    if min(recipe.mixup, recipe.cutmix) < 0:
        raise TrainingError(f"{origin}: mixup and cutmix must not be negative")
    if not (0 <= recipe.adults <= 0.5 and 0 <= recipe.shortcut_balance <= 1):
        raise TrainingError(f"{origin}: adults must be 0 to 0.5 and shortcut_balance 0 to 1")
    if recipe.shortcut_balance and not recipe.adults:
        raise TrainingError(f"{origin}: shortcut_balance needs batches drawn by source; give adults a share")
    if recipe.folds < 2 or not 1 <= recipe.members <= recipe.folds:
        raise TrainingError(f"{origin}: needs at least 2 folds, and 1 to {recipe.folds} members")
    if recipe.classes not in (2, 3):
        raise TrainingError(f"{origin}: classes is {recipe.classes}, must be 2 or 3")
    return recipe


def built_in_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = resources.files(__package__) / "recipes"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_recipe(name_or_path: str) -> Recipe:
    """A built-in recipe by its name, or any recipe by the path of its TOML file.

    Raises:
        UsageError: there is none of that name or at that path.
        TrainingError: it cannot be used.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(f"{path}: no such recipe file")
        return parse_recipe(path.read_text("utf-8"), str(path))
    if name_or_path not in built_in_recipes():
        raise UsageError(
            f"recipe '{name_or_path}': unknown; built in are {', '.join(built_in_recipes())}, or give a .toml file"
        )
    file = resources.files(__package__) / "recipes" / f"{name_or_path}.toml"
    return parse_recipe(file.read_text("utf-8"), name_or_path)
