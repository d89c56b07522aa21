"""Anything that holds one radiograph: a path, bytes, an open file, an array or a Pillow image."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.errors import RefusedInputError, UnreadableInputError, UsageError
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.limits import MAX_BYTES
from pneumoscope.imaging.radiograph import Radiograph, check_size, grey_and_chroma
from pneumoscope.imaging.reader import read_image

Source: TypeAlias = Path | str | bytes | bytearray | memoryview | BinaryIO | NDArray[np.uint8] | Image.Image
"""What one examination starts from."""

UNNAMED = "input"
"""What a record calls an input that came without a name."""


def name_of(source: object) -> str:
    """What a record calls a source: its path, the name of an open file, or ``"input"``."""
    if isinstance(source, (Path, str)):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else UNNAMED


def read_radiograph(source: Source, *, target: int | None = 224, name: str | None = None) -> Radiograph:
    """Read one radiograph from wherever it is.

    Args:
        source: a path; the bytes of an image or DICOM file; a binary file object, read from where it stands; grey
            levels ``uint8 [H, W]`` or colours ``uint8 [H, W, 3]``, 0 black to 255 white; or a Pillow image.
        target: the side in pixels that the image will be shrunk to; see :func:`~pneumoscope.imaging.reader.read_image`.
        name: what messages call the input.

    Raises:
        UnreadableInputError: missing, empty, cut short, damaged, or of no known format.
        RefusedInputError: read, but not one image of a size that can be judged.
        MissingExtraError: a DICOM file, and the ``dicom`` extra is not installed.
        UsageError: ``source`` is none of these.
    """
    name = name or name_of(source)
    if isinstance(source, (Path, str)):
        return read_image(Path(source), target=target, name=name)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_image(bytes(source), target=target, name=name)
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if isinstance(source, Image.Image):
        return _from_pillow(source, name)
    if hasattr(source, "read"):
        return read_image(_read_all(source, name), target=target, name=name)
    raise UsageError(
        f"{name}: a {type(source).__name__} cannot be examined; give a path, a file's bytes, a binary file object, "
        "a NumPy array of uint8 [height, width] or [height, width, 3], or a Pillow image"
    )


def _read_all(stream: BinaryIO, name: str) -> bytes:
    try:
        content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableInputError(f"{name}: cannot be read ({error})") from error
    if not isinstance(content, bytes):
        raise UsageError(f"{name}: a file object that gives text; open it in binary mode ('rb')")
    if len(content) > MAX_BYTES:
        raise RefusedInputError(f"{name}: over {MAX_BYTES // 2**20} MiB, files of at most that are read")
    return content


def _from_array(values: NDArray[np.uint8], name: str) -> Radiograph:
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3)):
        raise UsageError(
            f"{name}: an array of {values.dtype} {list(values.shape)}; uint8 [height, width] or [height, width, 3] is "
            "needed, 0 black to 255 white"
        )
    height, width = values.shape[:2]
    check_size(width, height, name)
    values = np.ascontiguousarray(values)
    if values.ndim == 3 and values.shape[2] == 3:
        grey, chroma = grey_and_chroma(values)
    else:
        grey, chroma = values.reshape(height, width), 0.0
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return Radiograph(grey, width, height, chroma, ImageFormat.PIXELS, digest)


def _from_pillow(image: Image.Image, name: str) -> Radiograph:
    try:
        check_size(*image.size, name)
        if image.mode not in ("1", "L", "RGB", "P", "RGBA", "LA"):
            raise UsageError(
                f"{name}: a Pillow image of mode {image.mode}; convert it to L or RGB first, with the window you want"
            )
        return _from_array(np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")), name)
    except OSError as error:
        raise UnreadableInputError(f"{name}: cannot be decoded ({error})") from error
