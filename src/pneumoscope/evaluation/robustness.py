"""Shortcut checks: does the answer stay when what must not matter is hidden or slightly changed?

Networks learn hospitals' side markers and borders where those go with the label (Zech et al. 2018, doi
10.1371/journal.pmed.1002683; DeGrave et al. 2021, doi 10.1038/s42256-021-00338-7). Each check changes every radiograph
in one way and judges it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pneumoscope.evaluation.exchange import ExchangeCheck
from pneumoscope.model.classifier import Model
from pneumoscope.statistics.bootstrap import Resampling
from pneumoscope.statistics.intervals import Interval, delong, newcombe_auc, wilson

Pixels = NDArray[np.uint8]

CORNER: Final = 0.2
"""Side of a masked corner, share of the image's; side markers stand within it."""
FRAME: Final = 0.07
"""Width of the masked frame, share of the side."""
STRETCH: Final = 1.13
"""Change of the width. Squashing into a square hides the file's aspect ratio in the chest's shape."""
TOLERATED_LOSS: Final = 0.01
"""Accuracy that masking may cost; a model whose 95 % interval of the loss lies beyond it relies on what was hidden."""


class Perturbation(StrEnum):
    """What is done to every radiograph. The first three hide what holds no lung."""

    UPPER_CORNERS_MASKED = "upper corners masked"
    ALL_CORNERS_MASKED = "all corners masked"
    FRAME_MASKED = "frame masked"
    BLACK_FRAME = "black frame, as of collimation"
    ROTATED_LEFT = "rotated by 5 degrees to the left"
    ROTATED_RIGHT = "rotated by 5 degrees to the right"
    SHIFTED_RIGHT = "shifted right by 4 %"
    SHIFTED_DOWN = "shifted down by 4 %"
    WIDENED = "stretched across by 13 %"
    NARROWED = "squeezed across by 13 %"
    DARKER = "gamma 1.25"
    BRIGHTER = "gamma 0.8"
    BLURRED = "blurred by 1 pixel"
    SHARPENED = "sharpened by an unsharp mask"


MASKING: Final = (Perturbation.UPPER_CORNERS_MASKED, Perturbation.ALL_CORNERS_MASKED, Perturbation.FRAME_MASKED)


def _corners_masked(pixels: Pixels, *, lower: bool) -> Pixels:
    """Corners painted with the image's mean, which is no shape that a network could take for a marker."""
    masked = pixels.copy()
    rows, columns = (round(side * CORNER) for side in pixels.shape)
    fill = round(float(pixels.mean()))
    for vertical in (slice(None, rows), slice(-rows, None))[: 1 + lower]:
        masked[vertical, :columns] = masked[vertical, -columns:] = fill
    return masked


def _framed(pixels: Pixels, fill: int) -> Pixels:
    masked = np.full_like(pixels, fill)
    rows, columns = (round(side * FRAME) for side in pixels.shape)
    masked[rows:-rows, columns:-columns] = pixels[rows:-rows, columns:-columns]
    return masked


def _rotated(pixels: Pixels, degrees: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR))


def _shifted(pixels: Pixels, right: float, down: float) -> Pixels:
    """The edge is repeated where nothing was: a black stripe would be another change."""
    height, width = pixels.shape
    rows = np.clip(np.arange(height) - round(down * height), 0, height - 1)
    columns = np.clip(np.arange(width) - round(right * width), 0, width - 1)
    return pixels[np.ix_(rows, columns)]


def _stretched(pixels: Pixels, across: float) -> Pixels:
    """Sides are cut off, or the edge is repeated where nothing was."""
    height, width = pixels.shape
    shape = (round(width * across), height)
    stretched = np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR))
    columns = np.clip(np.arange(width) + (shape[0] - width) // 2, 0, shape[0] - 1)
    return stretched[:, columns]


def _gamma(pixels: Pixels, exponent: float) -> Pixels:
    levels = (np.arange(256) / 255) ** exponent * 255
    return np.round(levels).astype(np.uint8)[pixels]


def _filtered(pixels: Pixels, kernel: ImageFilter.MultibandFilter) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(kernel))


CHANGES: Final[Mapping[Perturbation, Callable[[Pixels], Pixels]]] = {
    Perturbation.UPPER_CORNERS_MASKED: lambda pixels: _corners_masked(pixels, lower=False),
    Perturbation.ALL_CORNERS_MASKED: lambda pixels: _corners_masked(pixels, lower=True),
    Perturbation.FRAME_MASKED: lambda pixels: _framed(pixels, round(float(pixels.mean()))),
    Perturbation.BLACK_FRAME: lambda pixels: _framed(pixels, 0),
    Perturbation.ROTATED_LEFT: lambda pixels: _rotated(pixels, 5),
    Perturbation.ROTATED_RIGHT: lambda pixels: _rotated(pixels, -5),
    Perturbation.SHIFTED_RIGHT: lambda pixels: _shifted(pixels, 0.04, 0),
    Perturbation.SHIFTED_DOWN: lambda pixels: _shifted(pixels, 0, 0.04),
    Perturbation.WIDENED: lambda pixels: _stretched(pixels, STRETCH),
    Perturbation.NARROWED: lambda pixels: _stretched(pixels, 1 / STRETCH),
    Perturbation.DARKER: lambda pixels: _gamma(pixels, 1.25),
    Perturbation.BRIGHTER: lambda pixels: _gamma(pixels, 0.8),
    Perturbation.BLURRED: lambda pixels: _filtered(pixels, ImageFilter.GaussianBlur(1)),
    Perturbation.SHARPENED: lambda pixels: _filtered(pixels, ImageFilter.UnsharpMask(1.5, 100, 0)),
}


@dataclass(frozen=True)
class CheckResult:
    """What one change did to a model's answers on N images.

    Attributes:
        change: what was done.
        accuracy: after it, 0 to 1, at the same threshold.
        accuracy_change: less the accuracy before, -1 to 1.
        accuracy_change_ci95: bootstrap over patients.
        auc: after it; ``None`` where one class is missing.
        mean_probability_change: mean of the absolute changes, 0 to 1.
        flips: decisions that changed.
        flips_ci95: Wilson interval of their share.
        atypical: images that typicality would now refuse and did not before.
    """

    change: Perturbation
    accuracy: float
    accuracy_change: float
    accuracy_change_ci95: Interval
    auc: float | None
    mean_probability_change: float
    flips: int
    flips_ci95: Interval | None
    atypical: int

    @property
    def relies_on_it(self) -> bool:
        """Whether hiding what must not matter surely costs more accuracy than is tolerated."""
        return self.change in MASKING and self.accuracy_change_ci95[1] < -TOLERATED_LOSS


@dataclass(frozen=True)
class AspectCheck:
    """How well the classes are told apart after they were squashed less and more.

    Where one class's files are wider than the other's (docs/data.md), a network may read that off the chest's shape,
    which squashing has changed. Intervals of AUCs are Newcombe's; those of changes are DeLong's for the same images,
    ``None`` where that variance is zero, as between perfect rankings, or one class has a single image.

    Attributes:
        auc: as the radiographs are, 0 to 1.
        auc_pneumonia_stretched: pneumonias stretched across, normals squeezed, both by :data:`STRETCH`; where
            pneumonia's files are the wider ones, this brings the classes together.
        auc_pneumonia_stretched_change: what that gained or cost.
        auc_normal_stretched: the other way round.
        auc_normal_stretched_change: what that gained or cost.
    """

    auc: float
    auc_ci95: Interval
    auc_pneumonia_stretched: float
    auc_pneumonia_stretched_ci95: Interval
    auc_pneumonia_stretched_change: float
    auc_pneumonia_stretched_change_ci95: Interval | None
    auc_normal_stretched: float
    auc_normal_stretched_ci95: Interval
    auc_normal_stretched_change: float
    auc_normal_stretched_change_ci95: Interval | None


@dataclass(frozen=True)
class Shortcuts:
    """What :func:`check_shortcuts` found.

    Attributes:
        images: how many were judged.
        threshold: probability from which an image was called pneumonia.
        checks: one for each change, in the order of :class:`Perturbation`.
        aspect: ``None`` where one class is missing.
        exchange: what surroundings of another person did; ``None`` where it was not tested.
    """

    images: int
    threshold: float
    checks: tuple[CheckResult, ...]
    aspect: AspectCheck | None
    exchange: ExchangeCheck | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``shortcuts.json`` holds."""
        checks = [{**dataclasses.asdict(check), "relies_on": check.relies_on_it} for check in self.checks]
        aspect = None if self.aspect is None else {"stretch": STRETCH, **dataclasses.asdict(self.aspect)}
        return {
            "n": self.images,
            "threshold": self.threshold,
            "tolerated_loss": TOLERATED_LOSS,
            "checks": checks,
            "aspect": aspect,
            "exchange": self.exchange and self.exchange.to_json(),
        }


def check_shortcuts(
    model: Model,
    images: Iterable[Pixels],
    positive: NDArray[np.bool_],
    *,
    threshold: float,
    patients: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Shortcuts:
    """Judge every radiograph as it is and after each change.

    Args:
        model: to check.
        images: N grey images ``uint8 [224, 224]``, of the contract's size, in order; taken one by one.
        positive: which are pneumonia, ``bool [N]``.
        threshold: probability from which an image is called pneumonia.
        patients: of each image, for the bootstrap.
        seed: of the bootstrap.
    """
    runtime = model.runtime()
    rows = []
    for pixels in images:
        versions = [pixels, *(change(pixels) for change in CHANGES.values())]
        rows.append([(out.probability, out.typicality) for out in map(runtime.run, versions)])
    values = np.array(rows).transpose(1, 2, 0)  # [1 + changes, 2, N]
    resampling = Resampling.draw(patients, len(positive), seed=seed)
    everything, limit = np.ones(len(positive), bool), model.contract.typicality_limit
    (before, typical_before), changed = values[0], values[1:]
    right_before = (before >= threshold) == positive
    both = 0 < positive.sum() < len(positive)
    results = []
    for change, (after, typical_after) in zip(CHANGES, changed, strict=True):
        right = (after >= threshold) == positive
        draws = resampling.proportion(right, everything) - resampling.proportion(right_before, everything)
        low, high = np.quantile(draws, (0.025, 0.975))
        flips = int(((after >= threshold) != (before >= threshold)).sum())
        results.append(
            CheckResult(
                change=change,
                accuracy=float(right.mean()),
                accuracy_change=float(right.mean() - right_before.mean()),
                accuracy_change_ci95=(float(low), float(high)),
                auc=float(delong(positive.astype(np.int64), after).aucs[0]) if both else None,
                mean_probability_change=float(np.abs(after - before).mean()),
                flips=flips,
                flips_ci95=wilson(flips, len(positive)),
                atypical=int(((typical_after < limit) & (typical_before >= limit)).sum()),
            )
        )
    aspect = _check_aspect(positive, before, dict(zip(CHANGES, changed[:, 0], strict=True))) if both else None
    return Shortcuts(len(positive), threshold, tuple(results), aspect)


def _check_aspect(
    positive: NDArray[np.bool_], plain: NDArray[np.float64], changed: Mapping[Perturbation, NDArray[np.float64]]
) -> AspectCheck:
    wide, narrow = changed[Perturbation.WIDENED], changed[Perturbation.NARROWED]
    scores = (plain, np.where(positive, wide, narrow), np.where(positive, narrow, wide))
    estimate = delong(positive.astype(np.int64), np.stack(scores))
    as_is, together, apart = map(float, estimate.aucs)

    def interval(auc: float) -> Interval:
        return newcombe_auc(auc, estimate.positives, estimate.negatives)

    return AspectCheck(
        auc=as_is,
        auc_ci95=interval(as_is),
        auc_pneumonia_stretched=together,
        auc_pneumonia_stretched_ci95=interval(together),
        auc_pneumonia_stretched_change=together - as_is,
        auc_pneumonia_stretched_change_ci95=estimate.difference_interval(1, 0),
        auc_normal_stretched=apart,
        auc_normal_stretched_ci95=interval(apart),
        auc_normal_stretched_change=apart - as_is,
        auc_normal_stretched_change_ci95=estimate.difference_interval(2, 0),
    )
