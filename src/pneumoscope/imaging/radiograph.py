"""One radiograph as every step after the reader takes it: grey pixels, and what the file said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.errors import RefusedInputError, UnreadableInputError
from pneumoscope.imaging.formats import ImageFormat

MAX_PIXELS: Final = 50_000_000
"""Images with more pixels are refused before decoding. The largest detectors have about 20 megapixels."""

PROGRAM: Final = "Pneumoscope"
"""How the pictures that this program makes name their maker: DICOM objects as manufacturer, PNG files as software."""

CHROMA_SAMPLES: Final = 256
"""Rows and columns, about, on which the chroma of an image is measured."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One decoded image, with everything its reader learnt.

    Attributes:
        pixels: ``uint8 [H, W]``, 0 black to 255 white, upright; not to be written to. Smaller than ``height`` x
            ``width`` where a large JPEG was decoded at reduced scale, and transposed where its EXIF orientation says
            so.
        width: columns as stored in the file, less what was cut away.
        height: rows as stored in the file, less what was cut away.
        chroma: how colourful the source was: the mean of ``max(R, G, B) - min(R, G, B)`` in grey levels, 0
            for grey.
        format: what the file was.
        sha256: hex digest of the whole file; of the grey levels where there was no file.
        notes: what a reader of the result should know, one sentence each: what the header says against judging the
            picture, what is damaged, what was cut away.
        age_years: of the patient at the time of the exposure, where the header says it.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    chroma: float
    format: ImageFormat
    sha256: str
    notes: tuple[str, ...] = field(default=())
    age_years: float | None = None

    def cropped(self, box: tuple[int, int, int, int], note: str) -> Radiograph:
        """The part of the picture inside a box, with a note on what was cut away.

        Args:
            box: left, top, right, bottom in pixels of ``pixels``; right and bottom are the first ones outside.
            note: one sentence.
        """
        left, top, right, bottom = box
        height, width = self.pixels.shape
        turned = (width > height) != (self.width > self.height)
        share_x, share_y = (right - left) / width, (bottom - top) / height
        if turned:
            share_x, share_y = share_y, share_x
        return replace(
            self,
            pixels=self.pixels[top:bottom, left:right],
            width=max(1, round(self.width * share_x)),
            height=max(1, round(self.height * share_y)),
            notes=(*self.notes, note),
        )


def check_size(width: int, height: int, name: str) -> None:
    """Refuse an image by its header alone, before any memory is spent on its pixels.

    Raises:
        UnreadableInputError: if a side is zero or negative.
        RefusedInputError: if it has more than :data:`MAX_PIXELS` pixels.
    """
    if width < 1 or height < 1:
        raise UnreadableInputError(f"{name}: damaged, its header says {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise RefusedInputError(f"{name}: {width} x {height} pixels, at most {MAX_PIXELS // 10**6} megapixels are read")


def grey_and_chroma(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Turn ``uint8 [H, W, 3]`` RGB into ``uint8 [H, W]`` luma and the chroma that :class:`Radiograph` holds."""
    step_y, step_x = (max(1, side // CHROMA_SAMPLES) for side in rgb.shape[:2])
    red, green, blue = np.moveaxis(rgb[::step_y, ::step_x], 2, 0)
    # Over three channels, pairs of maximum and minimum are many times as fast as a reduction along the axis.
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = float((highest - lowest).mean())
    return np.asarray(Image.fromarray(rgb).convert("L")), chroma
