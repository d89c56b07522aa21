"""The exchange test: does the answer stay when everything outside the lungs is another person's?

What lies outside the lungs says how a patient was framed and by what machine, and must not decide. Each picture keeps
its lungs; the rest comes from another patient's, laid so that the lungs' boxes coincide. Backgrounds are exchanged in
the same way by Xiao et al. 2021, Noise or Signal (arXiv 2006.09994). The partner is drawn once from the same class and
once from the other: the second is where a model that reads the surroundings changes its mind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.model.classifier import Model
from pneumoscope.model.lungs import LUNG, Box, has_lungs, lung_box, lung_mask
from pneumoscope.statistics.intervals import Interval, wilson

Pixels = NDArray[np.uint8]

IMAGES: Final = 300
"""Images that the test is made on, at most."""

TOLERATED_CHANGE: Final = 0.02
"""Mean absolute change of the probability that passes."""

TOLERATED_FLIPS: Final = 0.01
"""Share of decisions that may change."""

RIM: Final = 0.03
"""Share of the side by which the lungs are widened, so that their edges stay, and over which the seam fades."""


@dataclass(frozen=True)
class ExchangeResult:
    """What one kind of partner did to a model's answers.

    Attributes:
        partner: ``same class`` or ``other class``.
        images: that had lungs and a partner.
        mean_probability_change: mean of the absolute changes, 0 to 1.
        flips: decisions that changed.
        flips_ci95: Wilson interval of their share.
    """

    partner: str
    images: int
    mean_probability_change: float
    flips: int
    flips_ci95: Interval | None

    @property
    def passed(self) -> bool:
        """Whether both changes are within what is tolerated."""
        return (
            self.mean_probability_change <= TOLERATED_CHANGE
            and self.images > 0
            and self.flips <= TOLERATED_FLIPS * self.images
        )

    def to_json(self) -> dict[str, Any]:
        """As in ``shortcuts.json``."""
        return {**dataclasses.asdict(self), "passed": self.passed}


@dataclass(frozen=True)
class ExchangeCheck:
    """The exchange test of a model.

    Attributes:
        drawn: images that it was made on.
        without_lungs: of those, in how many no lungs were found; they are left out.
        results: by kind of partner; empty where no other patient was there.
    """

    drawn: int
    without_lungs: int
    results: tuple[ExchangeResult, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of ``exchange`` in ``shortcuts.json``."""
        return {
            "n": self.drawn,
            "without_lungs": self.without_lungs,
            "tolerated_change": TOLERATED_CHANGE,
            "tolerated_flips": TOLERATED_FLIPS,
            "results": [result.to_json() for result in self.results],
        }


@dataclass(frozen=True, eq=False)
class _Patient:
    """One picture with its lungs."""

    pixels: Pixels
    keep: NDArray[np.float32]  # [H, W], 1 in the widened lungs, fading to 0 around them
    box: Box
    positive: bool
    patient: str


def exchanged(pixels: Pixels, keep: NDArray[np.float32], box: Box, other: Pixels, other_box: Box) -> Pixels:
    """A picture that keeps its lungs and has another's surroundings.

    Args:
        pixels: ``uint8 [H, W]``.
        keep: ``float32 [H, W]``, how much of each pixel stays, 0 to 1.
        box: of its lungs, shares of width and height.
        other: ``uint8 [H, W]`` of another person, stretched so that its lungs' box lies on this one's; where it does
            not reach, its edge is repeated.
        other_box: of the other's lungs.
    """
    height, width = pixels.shape
    rows = _source(height, box[1], box[3], other_box[1], other_box[3])
    columns = _source(width, box[0], box[2], other_box[0], other_box[2])
    mixed = keep * pixels + (1 - keep) * other[np.ix_(rows, columns)]
    return np.asarray(np.round(mixed), np.uint8)


def _source(length: int, begin: float, end: float, other_begin: float, other_end: float) -> NDArray[np.intp]:
    """Which line of the other picture lies on each line of this one."""
    place = (np.arange(length) + 0.5) / length
    there = other_begin + (place - begin) / (end - begin) * (other_end - other_begin)
    return np.clip((there * length).astype(np.intp), 0, length - 1)


def kept_lungs(mask: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Widened lungs with a soft seam, ``float32 [H, W]``, from a mask ``[h, w]`` of 0 to 1."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    lungs = Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    reach = round(RIM * max(shape))
    widened = maximum_filter(np.asarray(lungs) > LUNG, size=2 * reach + 1).astype(np.float32)
    return np.asarray(np.maximum(gaussian_filter(widened, reach / 2), np.asarray(lungs) > LUNG), np.float32)


def check_exchange(
    model: Model,
    images: Sequence[Pixels],
    positive: NDArray[np.bool_],
    patients: Sequence[str | None] | None,
    *,
    threshold: float,
    seed: int = 0,
) -> ExchangeCheck:
    """Judge pictures with their own surroundings and with those of two others.

    Args:
        model: to test.
        images: N grey images ``uint8 [H, W]`` of the contract's size.
        positive: which are pneumonia, ``bool [N]``.
        patients: their keys; an image without one is a patient of its own.
        threshold: probability from which an image is called pneumonia.
        seed: of the partners.
    """
    masks = [lung_mask(pixels) for pixels in images]
    people = [
        _Patient(pixels, kept_lungs(mask, (pixels.shape[0], pixels.shape[1])), box, bool(ill), key or f"image {row}")
        for row, (pixels, mask, ill, key) in enumerate(
            zip(images, masks, positive, patients or [None] * len(images), strict=True)
        )
        if has_lungs(mask) and (box := lung_box(mask)) is not None
    ]
    random = np.random.default_rng(seed)
    before = [model.runtime().run(person.pixels).probability for person in people]
    results = []
    for name, same in (("same class", True), ("other class", False)):
        pairs = []
        for person, probability in zip(people, before, strict=True):
            partners = [p for p in people if (p.positive == person.positive) == same and p.patient != person.patient]
            if partners:
                other = partners[int(random.integers(len(partners)))]
                changed = exchanged(person.pixels, person.keep, person.box, other.pixels, other.box)
                pairs.append((probability, model.runtime().run(changed).probability))
        if pairs:
            was, now = np.array(pairs).T
            flips = int(((was >= threshold) != (now >= threshold)).sum())
            change = float(np.abs(now - was).mean())
            results.append(ExchangeResult(name, len(pairs), change, flips, wilson(flips, len(pairs))))
    return ExchangeCheck(len(images), len(images) - len(people), tuple(results))
