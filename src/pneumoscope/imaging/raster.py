"""JPEG, PNG, TIFF, BMP, WebP and GIF, decoded with Pillow, to grey ``uint8`` pixels.

Whatever a file holds, no more than its decoded pixels and a strip of them are held beside the result. No global state
of Pillow is changed, so any number of threads may decode at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from pneumoscope.errors import InputError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.jpeg_damage import damage_notes
from pneumoscope.imaging.limits import BUDGET, MAX_TIFF_TILE, SEVERAL, check_scans, check_structure
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.radiograph import CHROMA_SAMPLES, MAX_PIXELS, PROGRAM, check_size

# Reduced-scale decoding keeps the low frequencies of each 8 x 8 block, which is not quite what averaging
# pixels gives. Measured on the 116 native radiographs, at targets of 40 to 224 pixels (the factor is what
# matters, not the target), full against reduced decoding (1/2, 1/4, 1/8), worst pixel of the preprocessed
# image in grey levels:
#
#   reduced size / target    2-3  3-4  4-5  5-6  6-7  7-24
#   both sides divisible      14    6    4    2    2     1   (170 comparisons from a factor of 7 up)
#   otherwise                 27   22   18   14   14    10   (border pixels: the last block is part padding)
#
# So a scale is used only where both sides are divisible by it and 7 times the target is left.
DRAFT_OVERSAMPLING: Final = 7
DRAFT_SCALES: Final = (8, 4, 2)

STRIP_PIXELS: Final = 2**20
"""Pixels that are converted to grey at a time."""

# The plugin class is called directly: Image.open would import every plugin, apply Pillow's own size warning before
# ours, and read a phone's multi-picture JPEG as several frames.
_PLUGINS: Final[Mapping[ImageFormat, str]] = {
    ImageFormat.JPEG: "PIL.JpegImagePlugin:JpegImageFile",
    ImageFormat.PNG: "PIL.PngImagePlugin:PngImageFile",
    ImageFormat.TIFF: "PIL.TiffImagePlugin:TiffImageFile",
    ImageFormat.WEBP: "PIL.WebPImagePlugin:WebPImageFile",
    ImageFormat.BMP: "PIL.BmpImagePlugin:BmpImageFile",
    ImageFormat.GIF: "PIL.GifImagePlugin:GifImageFile",
}

_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""That Pillow holds a pixel in, by mode; all others take 4."""

_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 322, 323


@dataclass(frozen=True, eq=False)
class Raster:
    """A decoded picture, before anything is cut from it.

    Attributes:
        pixels: ``uint8 [H, W]``, 0 black to 255 white, upright.
        width: columns as stored in the file.
        height: rows as stored in the file.
        chroma: as in :class:`~pneumoscope.imaging.radiograph.Radiograph`.
        notes: what a reader of the result should know.
        reduced_by: scale that a JPEG was decoded at.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    chroma: float
    notes: tuple[str, ...] = ()
    reduced_by: int = 1


def decode(data: bytes, kind: ImageFormat, *, target: int | None, name: str) -> Raster:
    """Decode one file.

    Args:
        data: the whole file.
        kind: what it is.
        target: the side in pixels that the image will be shrunk to; ``None`` decodes in full.
        name: what messages call it.

    Raises:
        UnreadableInputError: damaged or cut short.
        RefusedInputError: not one image of a size that can be judged, or one of far more parts than a radiograph.
    """
    check_structure(data, kind, name)
    module, _, plugin = _PLUGINS[kind].partition(":")
    try:
        with quiet_warnings():
            image: ImageFile.ImageFile = getattr(importlib.import_module(module), plugin)(BytesIO(data))
            width, height = image.size
            check_size(width, height, name)
            if kind is ImageFormat.JPEG:
                check_scans(data, width * height, name)
            _check_tile(image, name)
            with BUDGET.reserve(_memory(image, kind)):
                return _decode(image, data, kind, target, name)
    except InputError:
        raise
    except Image.DecompressionBombError:  # Pillow looks at a GIF's first frame before our own check can
        raise RefusedInputError(f"{name}: too large, at most {MAX_PIXELS // 10**6} megapixels are read") from None
    except Exception as error:
        raise _unreadable(kind, error, name) from error


def _unreadable(kind: ImageFormat, error: Exception, name: str) -> UnreadableInputError:
    said = " ".join(str(error).split())
    if kind is ImageFormat.JPEG and "12-bit" in said:
        return UnreadableInputError(f"{name}: 12-bit JPEG is not read outside DICOM; save it as 8-bit JPEG or PNG")
    if kind is ImageFormat.JPEG and "layers" in said:
        return UnreadableInputError(f"{name}: a JPEG of an uncommon kind is not read ({said}); save it as PNG")
    return UnreadableInputError(f"{name}: damaged or cut short {kind.value} ({said or type(error).__name__})")


def _check_tile(image: ImageFile.ImageFile, name: str) -> None:
    tags = getattr(image, "tag_v2", {})
    side = [tags.get(number, 0) for number in (_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT)]
    sides = [int(value[0] if isinstance(value, tuple) else value) for value in side]
    if sides[0] * sides[1] * 4 > MAX_TIFF_TILE:
        raise RefusedInputError(f"{name}: a TIFF of tiles of {sides[0]} x {sides[1]} pixels; save it in smaller ones")


def _memory(image: Image.Image, kind: ImageFormat) -> int:
    """Bytes that decoding will hold at most: the pixels, the codec's own copies, a copy turned upright, the result."""
    pixel = _BYTES.get(image.mode, 4)
    copies = 3 if kind is ImageFormat.WEBP else 2
    return image.width * image.height * (copies * pixel + 1)


def _decode(image: ImageFile.ImageFile, data: bytes, kind: ImageFormat, target: int | None, name: str) -> Raster:
    width, height = image.size
    if _has_more(image, kind):
        raise RefusedInputError(f"{name}: {SEVERAL}")
    if kind is ImageFormat.PNG and str(image.info.get("Software", "")).startswith(PROGRAM):
        raise RefusedInputError(f"{name}: a picture that {PROGRAM} made itself; give the radiograph it was made from")
    scale = _draft(image, target)
    image.load()
    damage: tuple[str, ...] = ()
    if kind is ImageFormat.JPEG:
        damage = damage_notes(data, np.asarray(image if image.mode == "L" else image.convert("L")), reduced_by=scale)
    ImageOps.exif_transpose(image, in_place=True)
    grey, chroma, notes = _to_grey(image, dict(getattr(image, "tag_v2", {})), name)
    return Raster(grey, width, height, chroma, (*notes, *damage), scale)


def _has_more(image: ImageFile.ImageFile, kind: ImageFormat) -> bool:
    """Whether there is a second picture. Counting them would walk through all, however many a file claims."""
    if kind in (ImageFormat.PNG, ImageFormat.WEBP):
        return bool(getattr(image, "n_frames", 1) > 1)
    return kind is ImageFormat.TIFF and bool(getattr(image, "is_animated", False))


def _draft(image: ImageFile.ImageFile, target: int | None) -> int:
    """Ask the JPEG decoder for a reduced scale where that changes nothing; see ``DRAFT_OVERSAMPLING``."""
    if target is None or image.format != "JPEG":
        return 1
    width, height = image.size
    for scale in DRAFT_SCALES:
        enough = min(width, height) >= scale * DRAFT_OVERSAMPLING * target
        if enough and width % scale == 0 and height % scale == 0:
            image.draft(image.mode, (width // scale, height // scale))
            return scale
    return 1


def _to_grey(image: Image.Image, tags: dict[int, Any], name: str) -> tuple[NDArray[np.uint8], float, tuple[str, ...]]:
    """Any Pillow mode to ``uint8 [H, W]``, its chroma and notes; ``tags`` are those of a TIFF."""
    if image.mode.startswith(("I", "F")):
        return _scale_deep(np.asarray(image), tags, name), 0.0, ()
    if image.mode in ("LAB", "La"):
        raise UnreadableInputError(f"{name}: {image.mode} colour cannot be read; save it as grey or RGB")
    if image.mode == "L" and not image.has_transparency_data:
        return np.asarray(image), 0.0, ()
    transparent = image.has_transparency_data
    notes: tuple[str, ...] = ()
    if transparent and not any(strip.convert("RGBA").getchannel("A").getextrema()[1] for _, strip in _strips(image)):
        transparent, notes = False, ("all of it is declared transparent; its transparency was left out",)
    return *_grey_and_chroma(image, transparent=transparent), notes


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _grey_and_chroma(image: Image.Image, *, transparent: bool) -> tuple[NDArray[np.uint8], float]:
    """Luma, on black where transparent, and the mean of max(R, G, B) - min(R, G, B) over a grid of samples."""
    grey = np.empty((image.height, image.width), np.uint8)
    step_y, step_x = (max(1, side // CHROMA_SAMPLES) for side in grey.shape)
    spread, samples = 0.0, 0
    for top, strip in _strips(image):
        if image.mode == "1":
            grey[top : top + strip.height] = np.asarray(strip.convert("L"))
            continue
        colour = _on_black(strip) if transparent else strip.convert("RGB")
        grey[top : top + strip.height] = np.asarray(colour.convert("L"))
        sampled = np.asarray(colour)[-top % step_y :: step_y, ::step_x].astype(np.int16)
        spread += float((sampled.max(axis=2) - sampled.min(axis=2)).sum())
        samples += sampled.shape[0] * sampled.shape[1]
    return grey, spread / samples if samples else 0.0


def _on_black(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")


_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_MIN, _TIFF_MAX, _TIFF_SMIN, _TIFF_SMAX = 258, 262, 280, 281, 340, 341


def _scale_deep(values: NDArray[Any], tags: dict[int, Any], name: str) -> NDArray[np.uint8]:
    """16-bit, 32-bit and float pixels to 8 bit, by the range that the file declares."""
    rows = max(1, STRIP_PIXELS // max(1, values.shape[1]))
    strips = [slice(top, top + rows) for top in range(0, len(values), rows)]
    if values.dtype.kind == "f" and not all(np.isfinite(values[strip]).all() for strip in strips):
        raise RefusedInputError(f"{name}: holds values that are not finite; replace them first")
    low, high = _declared_range(values, tags)
    largest = float(values.max())
    if values.dtype.kind == "u" and high == 65535 and 0 < largest < 2**15:
        # Ten to fifteen bits in a 16-bit file would come out black or dark. Guessing the range would make the score
        # depend on a single bright pixel.
        raise RefusedInputError(
            f"{name}: a 16-bit image whose brightest pixel is {largest:.0f} of {high:.0f}, as of "
            f"{int(largest).bit_length()} bits; scale it to the full range or declare the range (TIFF MaxSampleValue)"
        )
    grey = np.zeros(values.shape, np.uint8)
    if high <= low:
        return grey
    white_is_zero = tags.get(_TIFF_PHOTOMETRIC) == 0
    for strip in strips:
        scaled = (values[strip].astype(np.float32) - low) * (255.0 / (high - low))
        part = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        grey[strip] = 255 - part if white_is_zero else part
    return grey


def _declared_range(values: NDArray[Any], tags: dict[int, Any]) -> tuple[float, float]:
    def tag(*numbers: int) -> float | None:
        for number in numbers:
            value = tags.get(number)
            if value is not None:
                return float(value[0] if isinstance(value, tuple) else value)
        return None

    low, high = tag(_TIFF_SMIN, _TIFF_MIN), tag(_TIFF_SMAX, _TIFF_MAX)
    if high is not None:
        return low or 0.0, high
    if values.dtype.kind == "u":
        bits = tag(_TIFF_BITS) or 16.0
        return 0.0, 2.0**bits - 1
    return float(values.min()), float(values.max())
