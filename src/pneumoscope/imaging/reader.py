"""Bytes or a path in, grey ``uint8`` pixels out.

JPEG, PNG, TIFF, BMP, WebP and GIF are decoded here with Pillow; what another room decodes (DICOM) is found
by content through :data:`DECODERS` and imported only when such a file turns up. The type is decided by
content, never by the file's name.

Conventions, the same for every format:

- Colour becomes grey by ITU-R BT.601 luma (Pillow's ``convert("L")``); embedded colour profiles are not
  applied.
- Transparent pixels are composited on black, the background of a radiograph.
- 16-bit files are scaled by the range that the format declares: TIFF's ``MinSampleValue`` and
  ``MaxSampleValue`` tags where present, else 0 to ``2**BitsPerSample - 1``. A range is never guessed from
  unsigned data. 32-bit integers, signed integers and floats without a declared range are scaled by their
  own minimum and maximum.
- EXIF orientation is applied.

No global state of Pillow is changed, so any number of threads may read at once.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from pneumoscope.errors import MissingExtraError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.radiograph import MAX_PIXELS, ImageFormat, Radiograph, check_size, grey_and_chroma

MAX_BYTES: Final = 512 * 2**20
"""Files larger than this are refused before reading. 100 megapixels of 16-bit grey are 200 MB."""

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


class Decode(Protocol):
    """Turns the bytes of one file into a grey image."""

    def __call__(self, data: bytes, *, name: str) -> Radiograph:
        """Decode ``data``; ``name`` is what messages call it."""
        ...


@dataclass(frozen=True)
class Decoder:
    """A decoder in another room.

    Attributes:
        what: what it reads, as messages say it.
        sniff: tells from the first bytes whether a file is its to read.
        target: ``module:function`` of a :class:`Decode`, imported when first needed.
        extra: the optional dependency group that brings what it needs.
    """

    what: str
    sniff: Callable[[bytes], bool]
    target: str
    extra: str


def looks_like_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file, or a bare data set without the preamble that PS3.10 asks for."""
    if data[128:132] == b"DICM":
        return True
    # A bare data set starts with a File Meta (0002) or Identifying (0008) element, whose VR (explicit) is
    # two capital letters or whose 32-bit length (implicit) is short.
    if len(data) < 8 or data[:4] == bytes(4):
        return False
    for order in ("<", ">"):
        group, element = struct.unpack_from(order + "HH", data)
        if group not in (0x0002, 0x0008) or element > 0x0070:
            continue
        (length,) = struct.unpack_from(order + "I", data, 4)
        if (data[4:6].isalpha() and data[4:6].isupper()) or length <= 1024:
            return True
    return False


DECODERS: Final = (Decoder("a DICOM file", looks_like_dicom, "pneumoscope.imaging.dicom.pixels:decode", "dicom"),)

# (format, sniff, Pillow plugin). The plugin class is called directly: Image.open would import every plugin,
# apply Pillow's own size warning before ours, and read a phone's multi-picture JPEG as several frames.
_PLUGINS: Final[tuple[tuple[ImageFormat, Callable[[bytes], bool], str], ...]] = (
    (ImageFormat.JPEG, lambda d: d[:3] == b"\xff\xd8\xff", "PIL.JpegImagePlugin:JpegImageFile"),
    (ImageFormat.PNG, lambda d: d[:8] == b"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin:PngImageFile"),
    (
        ImageFormat.TIFF,
        lambda d: d[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "PIL.TiffImagePlugin:TiffImageFile",
    ),
    (
        ImageFormat.WEBP,
        lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP",
        "PIL.WebPImagePlugin:WebPImageFile",
    ),
    (ImageFormat.BMP, lambda d: d[:2] == b"BM", "PIL.BmpImagePlugin:BmpImageFile"),
    (ImageFormat.GIF, lambda d: d[:6] in (b"GIF87a", b"GIF89a"), "PIL.GifImagePlugin:GifImageFile"),
)

# What Pillow's plugins raise on damaged files.
_DAMAGED: Final = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)


def read_image(source: Path | bytes, *, target: int | None = 224, name: str | None = None) -> Radiograph:
    """Read one image of any supported format as grey pixels.

    Args:
        source: a path, or the bytes of a file.
        target: the side in pixels that the image will be shrunk to; large JPEGs may then be decoded at a
            reduced scale that changes no pixel of the shrunk image by more than one grey level. ``None``
            decodes in full.
        name: what messages call the input; the path, or "input" for bytes, by default.

    Returns:
        The decoded image.

    Raises:
        UnreadableInputError: missing, not permitted, empty, cut short, damaged, or of no known format.
        RefusedInputError: read, but not one image of a size that can be judged.
        MissingExtraError: a DICOM file, and the ``dicom`` extra is not installed.
    """
    name = name or (str(source) if isinstance(source, Path) else "input")
    data = _read_bytes(source, name) if isinstance(source, Path) else source
    if not data:
        raise UnreadableInputError(f"{name}: empty, 0 bytes; send the image again")
    for decoder in DECODERS:
        if decoder.sniff(data):
            return _load_decoder(decoder)(data, name=name)
    for image_format, sniff, plugin in _PLUGINS:
        if sniff(data):
            with quiet_warnings():
                return _decode_with_pillow(data, image_format, plugin, target, name)
    raise UnreadableInputError(f"{name}: {_describe_unknown(data)}")


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableInputError(f"{name}: a folder, not an image")
        if path.exists() and not path.is_file():
            raise UnreadableInputError(f"{name}: not a regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise RefusedInputError(
                f"{name}: {size / 2**20:.0f} MiB, files of at most {MAX_BYTES // 2**20} MiB are read"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableInputError(f"{name}: no such file") from None
    except PermissionError:
        raise UnreadableInputError(f"{name}: no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UnreadableInputError(f"{name}: cannot be read ({error})") from error


def _load_decoder(decoder: Decoder) -> Decode:
    try:
        return cast(Decode, _load(decoder.target))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pneumoscope"):
            raise
        raise MissingExtraError(f"reading {decoder.what}", decoder.extra) from error


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _describe_unknown(data: bytes) -> str:
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself; run `git lfs pull`"
    known = ", ".join(image_format.value for image_format in ImageFormat)
    return f"not an image of a known format ({known}); it starts with {data[:12]!r}"


def _decode_with_pillow(
    data: bytes, image_format: ImageFormat, plugin: str, target: int | None, name: str
) -> Radiograph:
    try:
        image: ImageFile.ImageFile = _load(plugin)(BytesIO(data))
        width, height = image.size
        check_size(width, height, name)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise RefusedInputError(f"{name}: {frames} frames or pages, one image needed; extract the one to judge")
        _draft(image, target)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except Image.DecompressionBombError:  # Pillow looks at a GIF's first frame before our own check can
        raise RefusedInputError(f"{name}: too large, at most {MAX_PIXELS // 10**6} megapixels are read") from None
    except _DAMAGED as error:
        raise UnreadableInputError(f"{name}: damaged or cut short {image_format.value} ({error})") from error
    grey, chroma = _to_grey(image, dict(getattr(image, "tag_v2", {})), name)
    return Radiograph(grey, width, height, chroma, image_format, hashlib.sha256(data).hexdigest())


def _draft(image: ImageFile.ImageFile, target: int | None) -> None:
    """Ask the JPEG decoder for a reduced scale where that changes nothing; see ``DRAFT_OVERSAMPLING``."""
    if target is None or image.format != "JPEG":
        return
    width, height = image.size
    for scale in DRAFT_SCALES:
        enough = min(width, height) >= scale * DRAFT_OVERSAMPLING * target
        if enough and width % scale == 0 and height % scale == 0:
            image.draft(image.mode, (width // scale, height // scale))
            return


def _to_grey(image: Image.Image, tags: dict[int, Any], name: str) -> tuple[NDArray[np.uint8], float]:
    """Any Pillow mode to ``uint8 [H, W]`` and its chroma; ``tags`` are those of a TIFF."""
    if image.mode.startswith(("I", "F")):
        return _scale_deep(np.asarray(image), tags, name), 0.0
    if image.mode in ("LAB", "La"):
        raise UnreadableInputError(f"{name}: {image.mode} colour cannot be read; save it as grey or RGB")
    if image.has_transparency_data:
        image = _on_black(image)
    if image.mode in ("1", "L"):
        return np.asarray(image if image.mode == "L" else image.convert("L")), 0.0
    return grey_and_chroma(np.asarray(image.convert("RGB")))


def _on_black(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")


_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_MIN, _TIFF_MAX, _TIFF_SMIN, _TIFF_SMAX = 258, 262, 280, 281, 340, 341


def _scale_deep(values: NDArray[Any], tags: dict[int, Any], name: str) -> NDArray[np.uint8]:
    """16-bit, 32-bit and float pixels to 8 bit, by the range that the file declares."""
    if not np.isfinite(values).all():
        raise RefusedInputError(f"{name}: holds values that are not finite; replace them first")
    low, high = _declared_range(values, tags)
    largest = float(values.max())
    if values.dtype.kind == "u" and high == 65535 and 0 < largest < high / 16:
        # Twelve bits in a 16-bit file would come out black. Guessing the range would make the score depend
        # on a single bright pixel.
        raise RefusedInputError(
            f"{name}: a 16-bit image whose brightest pixel is {largest:.0f} of {high:.0f}; "
            "scale it to the full range or declare the range (TIFF MaxSampleValue)"
        )
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.float32) - low) * (255.0 / (high - low))
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    white_is_zero = tags.get(_TIFF_PHOTOMETRIC) == 0
    return 255 - grey if white_is_zero else grey


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
