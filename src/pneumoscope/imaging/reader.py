"""Bytes or a path in, grey ``uint8`` pixels out.

JPEG, PNG, TIFF, BMP, WebP and GIF are decoded with Pillow in :mod:`~pneumoscope.imaging.raster`; DICOM in
:mod:`~pneumoscope.imaging.dicom`, imported only when such a file turns up. The type is decided by content, never by the
file's name.

Conventions, the same for every format:

- Colour becomes grey by ITU-R BT.601 luma (Pillow's ``convert("L")``); embedded colour profiles are not
  applied.
- Transparent pixels are composited on black, the background of a radiograph; a picture that is declared transparent
  everywhere is taken as it is.
- 16-bit files are scaled by the range that the format declares: TIFF's ``MinSampleValue`` and
  ``MaxSampleValue`` tags where present, else 0 to ``2**BitsPerSample - 1``. A range is never guessed from
  unsigned data. 32-bit integers, signed integers and floats without a declared range are scaled by their
  own minimum and maximum.
- EXIF orientation is applied.
- Bars of one grey level at the edges are cut away: :mod:`~pneumoscope.imaging.borders`.

What is bounded before anything is decoded stands in :mod:`~pneumoscope.imaging.limits`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pneumoscope.errors import InputError, MissingExtraError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging import raster
from pneumoscope.imaging.borders import MIN_BAR, describe_cut, find_bars, whole
from pneumoscope.imaging.formats import ImageFormat, describe_unknown, image_format
from pneumoscope.imaging.limits import MAX_BYTES
from pneumoscope.imaging.radiograph import Radiograph


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

    Both carry the hash of the bytes where there were any.
    """
    name = name or (str(source) if isinstance(source, Path) else "input")
    data = _read_bytes(source, name) if isinstance(source, Path) else source
    if not data:
        raise UnreadableInputError(f"{name}: empty, 0 bytes; send the image again")
    digest = hashlib.sha256(data).hexdigest()
    try:
        kind = image_format(data)
        if kind is None:
            raise UnreadableInputError(f"{name}: {describe_unknown(data)}")
        if kind is ImageFormat.DICOM:
            return _without_bars(_read_dicom(data, digest, name))
        picture = raster.decode(data, kind, target=target, name=name)
        if picture.reduced_by > 1 and find_bars(picture.pixels, MIN_BAR / 2) != whole(picture.pixels):
            # Where a bar ends is only known in full: a border of an eighth's pixels would shift everything.
            picture = raster.decode(data, kind, target=None, name=name)
        return _without_bars(
            Radiograph(picture.pixels, picture.width, picture.height, picture.chroma, kind, digest, picture.notes)
        )
    except InputError as error:
        error.sha256 = digest
        raise


def _without_bars(image: Radiograph) -> Radiograph:
    box = find_bars(image.pixels)
    if box == whole(image.pixels):
        return image
    height, width = image.pixels.shape
    return image.cropped(box, describe_cut(box, width, height, "bars of one grey level"))


def _read_dicom(data: bytes, digest: str, name: str) -> Radiograph:
    try:
        from pneumoscope.imaging.dicom.reader import decode
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pneumoscope"):
            raise
        raise MissingExtraError("reading a DICOM file", "dicom") from error
    return decode(data, sha256=digest, name=name)


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
