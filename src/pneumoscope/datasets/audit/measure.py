"""What the audit measures on each image: one pass over the files, decoded as at prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pneumoscope.datasets.audit.shortcut import Surroundings, surroundings
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import InputError
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink

SIDE = 224
"""Statistics are taken on the image squashed to this many pixels a side, so that sizes compare."""

HASH_SIDE = 16
"""The perceptual hash has ``HASH_SIDE ** 2`` = 256 bits. With the usual 64, unrelated frontal radiographs
collide by the thousand."""

STATISTICS = {
    "brightness": "mean grey level, 0..255",
    "contrast": "standard deviation of the grey levels",
    "black_share": "share of pixels darker than 8",
    "white_share": "share of pixels brighter than 247",
    "side_border": "mean grey level of the outermost 5 % of columns on both sides",
    "dark_side_width": "share of the width that is dark border (column mean below 16), both sides together",
    "top_border": "mean grey level of the outermost 5 % of rows at the top",
    "bottom_border": "mean grey level of the outermost 5 % of rows at the bottom",
    "corner_brightness": "mean grey level of the four corner squares of 10 % of the side",
    "upper_corner_peak": "99.5th percentile of the upper corner squares of 25 % of the side: markers and text",
    "sharpness": "mean absolute difference of neighbouring pixels in a row",
    "aspect_ratio": "width by height of the file, less the bars that are cut away when it is read",
}


@dataclass(frozen=True, eq=False)
class Measurement:
    """One readable image.

    Attributes:
        image: the file and its label.
        sha256: of its bytes.
        width: columns of the file.
        height: rows of the file.
        mode: Pillow's mode (``L``, ``RGB``, ...); ``DICOM`` for such a file.
        format: what the file is.
        perceptual_hash: ``uint64 [4]``: 256-bit DCT hash of the grey image.
        statistics: one number for each of :data:`STATISTICS`.
        surroundings: what is outside the lungs.
    """

    image: LabelledImage
    sha256: str
    width: int
    height: int
    mode: str
    format: ImageFormat
    perceptual_hash: NDArray[np.uint64]
    statistics: dict[str, float]
    surroundings: Surroundings


@dataclass(frozen=True)
class Unreadable:
    """One file that prediction would not take either.

    Attributes:
        image: the file.
        reason: what is wrong with it, without the path.
    """

    image: LabelledImage
    reason: str


def measure_images(
    images: Sequence[LabelledImage], *, jobs: int | None = None
) -> tuple[list[Measurement], list[Unreadable]]:
    """Read and measure every image, with a progress bar on standard error.

    Args:
        images: the files.
        jobs: threads; as many as there are processors by default. Decoding and resizing run outside
            Python's global lock.

    Returns:
        The measurements and the unreadable files, each in the order given.

    Raises:
        MissingExtraError: a file is DICOM, and the ``dicom`` extra is not installed.
    """
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        bar = tqdm(pool.map(_measure, images), total=len(images), desc="Reading images", unit="image")
        results = list(bar)
    return (
        [result for result in results if isinstance(result, Measurement)],
        [result for result in results if isinstance(result, Unreadable)],
    )


def _measure(image: LabelledImage) -> Measurement | Unreadable:
    name = image.path.name
    try:
        grey = read_image(image.path, target=SIDE, name=name)
    except InputError as error:
        return Unreadable(image, str(error).removeprefix(f"{name}: "))
    small = shrink(grey.pixels, width=SIDE, height=SIDE)
    return Measurement(
        image=image,
        sha256=grey.sha256,
        width=grey.width,
        height=grey.height,
        mode=_mode(image.path, grey.format),
        format=grey.format,
        perceptual_hash=perceptual_hash(small),
        statistics=pixel_statistics(small) | {"aspect_ratio": grey.width / grey.height},
        surroundings=surroundings(grey.pixels),
    )


def _mode(path: Path, image_format: ImageFormat) -> str:
    if image_format is ImageFormat.DICOM:
        return "DICOM"
    with quiet_warnings(), Image.open(path) as header:
        return str(header.mode)


def perceptual_hash(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """256-bit pHash: signs, about their median, of the 16 x 16 lowest frequencies of the image at 32 x 32.

    Zauner, *Implementation and benchmarking of perceptual image hash functions* (2010), as in ``imagehash``.

    Args:
        pixels: ``uint8 [H, W]``.

    Returns:
        ``uint64 [4]``.
    """
    bits = imagehash.phash(Image.fromarray(pixels), hash_size=HASH_SIDE, highfreq_factor=2).hash
    return np.packbits(bits).view(np.uint64)


def pixel_statistics(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """All of :data:`STATISTICS` but the aspect ratio, which the pixels no longer show.

    Args:
        pixels: ``uint8 [H, W]``.
    """
    values = pixels.astype(np.float32)
    height, width = values.shape
    columns, rows = max(1, round(width * 0.05)), max(1, round(height * 0.05))
    ch, cw = max(1, round(height * 0.1)), max(1, round(width * 0.1))
    corners = [values[y, x] for y in (slice(ch), slice(-ch, None)) for x in (slice(cw), slice(-cw, None))]
    qh, qw = max(1, height // 4), max(1, width // 4)
    upper = np.concatenate([values[:qh, :qw].ravel(), values[:qh, -qw:].ravel()])
    dark = values.mean(axis=0) < 16
    result = {
        "brightness": values.mean(),
        "contrast": values.std(),
        "black_share": (pixels < 8).mean(),
        "white_share": (pixels > 247).mean(),
        "side_border": np.concatenate([values[:, :columns], values[:, -columns:]], axis=1).mean(),
        "dark_side_width": min(1.0, (_leading(dark) + _leading(dark[::-1])) / width),
        "top_border": values[:rows].mean(),
        "bottom_border": values[-rows:].mean(),
        "corner_brightness": np.mean([corner.mean() for corner in corners]),
        "upper_corner_peak": np.percentile(upper, 99.5),
        "sharpness": np.abs(np.diff(values, axis=1)).mean() if width > 1 else 0.0,
    }
    return {name: float(value) for name, value in result.items()}


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many are true before the first false."""
    return len(flags) if flags.all() else int(np.argmin(flags))
