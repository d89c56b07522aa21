"""Training and validation batches: every pixel goes through ``images`` and ``preprocess``, as at prediction."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError, InputError
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.labels import Label
from pneumoscope.training.augmentation import augment
from pneumoscope.training.distillation import Teachers
from pneumoscope.training.mixup import Batch, mixed
from pneumoscope.training.recipe import Recipe

SUBTYPES = ("NORMAL", "BACTERIAL", "VIRAL")
# A pneumonia whose name does not say its agent gets the training data's shares as its target.
_UNKNOWN_AGENT = (0.0, 0.65, 0.35)
_MIXING = 1  # sets the random numbers of a batch apart from those of an image


@dataclass(frozen=True, eq=False)
class PixelSet:
    """Images of one role, shrunk and in memory.

    Attributes:
        pixels: ``uint8 [N, size, size]``.
        targets: ``float32 [N, 3]`` over NORMAL, BACTERIAL, VIRAL; each row sums to 1.
        rows: the manifest rows, in the same order.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    rows: tuple[LabelledImage, ...]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which images are pneumonia, ``bool [N]``."""
        return np.array([row.label is Label.PNEUMONIA for row in self.rows])

    def resized(self, size: int) -> PixelSet:
        """The same images at another size, through the one shrinking step."""
        if self.pixels.shape[1:] == (size, size):
            return self
        small = np.stack([shrink(image, width=size, height=size) for image in self.pixels])
        return PixelSet(small, self.targets, self.rows)


def load_pixels(rows: Sequence[LabelledImage], size: int = 224, *, what: str = "images") -> PixelSet:
    """Read images into memory with a progress bar.

    Raises:
        DataError: at least one file cannot be read; all of them are named and counted.
    """

    def read(row: LabelledImage) -> NDArray[np.uint8] | InputError:
        try:
            return shrink(read_image(row.path, target=size).pixels, width=size, height=size)
        except InputError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(tqdm(pool.map(read, rows), total=len(rows), desc=f"Reading {what}", unit="image"))
    failures = [result for result in results if isinstance(result, InputError)]
    if failures:
        listed = "\n  ".join(str(failure) for failure in failures[:20])
        raise DataError(f"{len(failures)} of {len(rows)} files cannot be used; remove or replace them:\n  {listed}")
    targets = np.array([_target(row) for row in rows], dtype=np.float32).reshape(-1, 3)
    pixels = np.stack([r for r in results if not isinstance(r, InputError)])
    return PixelSet(pixels, targets, tuple(rows))


def _target(row: LabelledImage) -> tuple[float, float, float]:
    if row.subtype is None:
        return _UNKNOWN_AGENT
    return tuple(float(row.subtype == name) for name in SUBTYPES)  # type: ignore[return-value]


def class_weights(positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Loss weights of normal and pneumonia that make both count alike and average to 1."""
    share = float(positive.mean())
    if not 0 < share < 1:
        raise DataError("the training images are all of one class; both NORMAL and PNEUMONIA are needed")
    return 0.5 / (1 - share), 0.5 / share


def loss_targets(targets: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    """Targets in the shape of the network's logits, smoothed: ``[N, 3]``, or ``[N, 1]`` for one logit."""
    chosen = targets if recipe.classes == 3 else 1 - targets[:, :1]
    return chosen * (1 - recipe.label_smoothing) + recipe.label_smoothing / recipe.classes


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Augmented batches of one epoch; batch ``b`` of epoch ``e`` is the same in every run of the same seed."""

    def __init__(
        self, images: PixelSet, recipe: Recipe, *, seed: int, epoch: int, teachers: Teachers | None = None
    ) -> None:
        """Take the images at the epoch's size, and whoever teaches."""
        super().__init__(workers=1)
        cv2.setNumThreads(1)  # the cores are the network's
        self._images, self._recipe, self._seed, self._epoch = images, recipe, seed, epoch
        self._order = np.random.default_rng([seed, epoch]).permutation(len(images.pixels))
        self._targets = loss_targets(images.targets, recipe)
        self._teachers = teachers
        normal, pneumonia = class_weights(images.positive) if recipe.balanced else (1.0, 1.0)
        self._weights = np.where(images.positive, pneumonia, normal).astype(np.float32)

    def __len__(self) -> int:
        """Full batches only, so that batch normalisation never sees a tiny one; at least one batch."""
        return max(1, len(self._order) // self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Pixels ``float32 [B, size, size, 1]`` 0..255, targets, sample weights ``[B]``."""
        chosen = self._order[index * self._recipe.batch_size : (index + 1) * self._recipe.batch_size]
        batch = np.empty((len(chosen), *self._images.pixels.shape[1:], 1), np.float32)
        for slot, image in enumerate(chosen):
            rng = np.random.default_rng([self._seed, self._epoch, int(image)])
            batch[slot, ..., 0] = augment(self._images.pixels[image], self._recipe.augmentation, rng)
        plain = Batch(batch, self._targets[chosen], self._weights[chosen])
        made = mixed(plain, self._recipe, np.random.default_rng([self._seed, self._epoch, index, _MIXING]))
        targets = made.targets
        if self._teachers:
            share = self._recipe.teacher_share
            targets = (1 - share) * targets + share * self._teachers.probabilities(made.pixels)
        return made.pixels, targets, made.weights
