"""Decoders of the compressed images that DICOM encapsulates. Runs in the decoder process, away from everything else.

One library, imagecodecs (BSD-3-Clause), reads all: JPEG of 8 and 12 bits and lossless (libjpeg-turbo), JPEG-LS
(CharLS), JPEG 2000 and its high-throughput form (OpenJPEG), and the packed bytes of RLE. Two installations never differ
by which optional decoder they found.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray


class Codec(StrEnum):
    """A family of transfer syntaxes that one decoder reads."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    RLE = "RLE"


_PREFIX: Final = "1.2.840.10008.1.2."
CODECS: Final[Mapping[str, Codec]] = {
    **{f"{_PREFIX}4.{number}": Codec.JPEG for number in (50, 51, 57, 70)},
    **{f"{_PREFIX}4.{number}": Codec.JPEG_LS for number in (80, 81)},
    **{f"{_PREFIX}4.{number}": Codec.JPEG_2000 for number in (90, 91, 201, 202, 203)},
    f"{_PREFIX}5": Codec.RLE,
}
"""Decoder of each encapsulated transfer syntax that is read (PS3.6 A)."""


@dataclass(frozen=True)
class FrameFormat:
    """What the DICOM header says of one encapsulated frame.

    Attributes:
        codec: that it was compressed with.
        rows: of the image.
        columns: of the image.
        samples: a pixel, 1 or 3.
        bits: allocated to a sample, 8 or 16.
        rgb: a JPEG's three components are red, green and blue although it has no marker that says so.
    """

    codec: Codec
    rows: int
    columns: int
    samples: int
    bits: int
    rgb: bool = False


def decode_frame(frame: bytes, form: FrameFormat) -> NDArray[Any]:
    """Decode one frame.

    Args:
        frame: the codestream.
        form: what the header says of it.

    Returns:
        ``[rows, columns]``, or ``[rows, columns, 3]`` as RGB or as stored; ``uint8``, ``uint16`` or ``int16``.

    Raises:
        ValueError: what comes out does not have the header's shape.
        Exception: whatever the decoder raises on a damaged frame.
    """
    import imagecodecs

    if form.codec is Codec.RLE:
        decoded = _decode_rle(frame, form)
    elif form.codec is Codec.JPEG_LS:
        decoded = imagecodecs.jpegls_decode(frame)
    elif form.codec is Codec.JPEG_2000:
        decoded = imagecodecs.jpeg2k_decode(frame, planar=False, numthreads=1)
    else:
        # libjpeg takes three components without a marker for YCbCr; the header knows better.
        space = "RGB" if form.rgb else None
        decoded = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
    expected = (form.rows, form.columns) if form.samples == 1 else (form.rows, form.columns, form.samples)
    if decoded.shape != expected:
        raise ValueError(f"the image decodes to {list(decoded.shape)}, the header says {list(expected)}")
    return np.ascontiguousarray(decoded)


def _decode_rle(frame: bytes, form: FrameFormat) -> NDArray[Any]:
    """Run lengths of PS3.5 Annex G: one PackBits segment for each byte of each sample, most significant first."""
    import imagecodecs

    count, *offsets = struct.unpack_from("<16L", frame)
    width = form.bits // 8
    if count != form.samples * width:
        raise ValueError(f"{count} RLE segments, {form.samples * width} needed")
    pixels = form.rows * form.columns
    planes = np.empty((form.samples, width, pixels), np.uint8)
    ends = [*offsets[1:count], len(frame)]
    for index, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        if not 64 <= start < end <= len(frame):
            raise ValueError("an RLE segment lies outside the frame")
        unpacked = np.empty(pixels, np.uint8)
        # One padding byte may follow the data; the buffer's size bounds what is written.
        written = imagecodecs.packbits_decode(frame[start:end], out=memoryview(unpacked.data))
        if len(written) < pixels:
            raise ValueError("an RLE segment stops too early")
        planes[index // width, index % width] = unpacked
    dtype = ">u2" if width == 2 else "u1"
    values = np.moveaxis(planes, 1, 2).copy().view(dtype)[..., 0].astype(f"u{width}")
    shape = (form.rows, form.columns)
    return values[0].reshape(shape) if form.samples == 1 else np.moveaxis(values, 0, -1).reshape(*shape, form.samples)
