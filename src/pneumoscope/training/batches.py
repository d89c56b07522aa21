"""Training and validation batches: every pixel goes through ``images`` and ``preprocess``, as at prediction."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError, InputError
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.labels import Label
from pneumoscope.training.augmentation import WHOLE, augment
from pneumoscope.training.mixup import Batch, mixed
from pneumoscope.training.recipe import Recipe
from pneumoscope.training.sampling import draw_by_source

SUBTYPES = ("NORMAL", "BACTERIAL", "VIRAL")
# A pneumonia whose name does not say its agent gets the training data's shares as its target.
_UNKNOWN_AGENT = (0.0, 0.65, 0.35)
_MIXING = 1  # sets the random numbers of a batch apart from those of an image


@dataclass(frozen=True, eq=False)
class PixelSet:
    """Images of one role, shrunk and in memory.

    Attributes:
        pixels: ``uint8 [N, size, size]``, the whole pictures.
        targets: ``float32 [N, 3]`` over NORMAL, BACTERIAL, VIRAL; each row sums to 1.
        rows: the manifest rows, in the same order.
        boxes: the part of each picture that the network sees, ``float32 [N, 4]``, ``[x0, y0, x1, y1]`` in shares of
            width and height; the whole picture for ``None``.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    rows: tuple[LabelledImage, ...]
    boxes: NDArray[np.float32] | None = None

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which images are pneumonia, ``bool [N]``."""
        return np.array([row.label is Label.PNEUMONIA for row in self.rows])

    def box(self, index: int) -> NDArray[np.float32]:
        """The part of one picture that the network sees, ``float32 [4]``."""
        return WHOLE if self.boxes is None else self.boxes[index]

    def seen(self, size: int) -> NDArray[np.uint8]:
        """What the network sees of each picture, through the one shrinking filter: ``uint8 [N, size, size]``."""
        if self.boxes is None:
            if self.pixels.shape[1:] == (size, size):
                return self.pixels
            return np.stack([shrink(image, width=size, height=size) for image in self.pixels])
        return np.stack([_cropped(image, box, size) for image, box in zip(self.pixels, self.boxes, strict=True)])

    def take(self, chosen: NDArray[np.intp]) -> PixelSet:
        """Some of the images, by their places."""
        boxes = None if self.boxes is None else self.boxes[chosen]
        return PixelSet(self.pixels[chosen], self.targets[chosen], tuple(self.rows[i] for i in chosen), boxes)


def _cropped(pixels: NDArray[np.uint8], box: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """As ``training.lungs.crop.CropToBox`` in the exported graph, but for its rounding."""
    height, width = pixels.shape
    corners = tuple(float(share) for share in box * np.array([width, height, width, height], np.float32))
    return np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=corners))  # type: ignore[arg-type]


def load_pixels(
    rows: Sequence[LabelledImage], size: int = 224, *, what: str = "images", lung_field: bool = False
) -> PixelSet:
    """Read images into memory with a progress bar.

    Args:
        rows: which.
        size: height and width of the whole pictures in memory, pixels.
        what: they are, for the progress bar.
        lung_field: find the box around the lungs of each; pictures in which none were found are named.

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
    return PixelSet(pixels, targets, tuple(rows), _lung_boxes(pixels, rows) if lung_field else None)


def _lung_boxes(pixels: NDArray[np.uint8], rows: Sequence[LabelledImage]) -> NDArray[np.float32]:
    from pneumoscope.training.lungs.shipped import find_lungs

    lungs = find_lungs(pixels)
    for row, found in zip(rows, lungs.found, strict=True):
        if not found:
            tqdm.write(f"{row.path}: no lungs were found; the whole picture is used", file=sys.stderr)
    return lungs.boxes


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
        self,
        images: PixelSet,
        recipe: Recipe,
        *,
        seed: int,
        epoch: int,
        shortcut: NDArray[np.float64] | None = None,
    ) -> None:
        """Take the images and each image's shortcut score, where the recipe balances by it."""
        super().__init__(workers=1)
        cv2.setNumThreads(1)  # the cores are the network's
        self._images, self._recipe, self._seed, self._epoch = images, recipe, seed, epoch
        self._size = recipe.size_at(epoch)
        rng = np.random.default_rng([seed, epoch])
        if recipe.adults:
            self._order = draw_by_source(images.rows, recipe, rng, shortcut)
            weights = (1.0, 1.0)
        else:
            self._order = rng.permutation(len(images.pixels))
            weights = class_weights(images.positive) if recipe.balanced else (1.0, 1.0)
        self._targets = loss_targets(images.targets, recipe)
        normal, pneumonia = weights
        self._weights = np.where(images.positive, pneumonia, normal).astype(np.float32)

    def __len__(self) -> int:
        """Full batches only, so that batch normalisation never sees a tiny one; at least one batch."""
        return max(1, len(self._order) // self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Pixels ``float32 [B, size, size, 1]`` 0..255, targets, sample weights ``[B]``."""
        begin = index * self._recipe.batch_size
        chosen = self._order[begin : begin + self._recipe.batch_size]
        batch = np.empty((len(chosen), self._size, self._size, 1), np.float32)
        for slot, image in enumerate(chosen):
            # An image may be drawn twice in an epoch, so its place in the order counts too.
            rng = np.random.default_rng([self._seed, self._epoch, int(image), begin + slot])
            picture, box = self._images.pixels[image], self._images.box(image)
            batch[slot, ..., 0] = augment(picture, self._recipe.augmentation, rng, box=box, size=self._size)
        plain = Batch(batch, self._targets[chosen], self._weights[chosen])
        made = mixed(plain, self._recipe, np.random.default_rng([self._seed, self._epoch, index, _MIXING]))
        return made.pixels, made.targets, made.weights
