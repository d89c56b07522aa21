"""DICOM radiographs in, grey ``uint8`` pixels out.

The header is looked at first and everything that can be refused by it is; then the pixels are decoded (compressed ones
in the decoder process), brought to grey levels (:mod:`~pneumoscope.imaging.dicom.pixels`), freed of padding and of what
a display shutter hides, and turned upright.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pneumoscope.errors import InputError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.borders import describe_cut
from pneumoscope.imaging.dicom import decoder_process
from pneumoscope.imaging.dicom.bounds import BoundedReader, check_lengths
from pneumoscope.imaging.dicom.codecs import CODECS, Codec, FrameFormat
from pneumoscope.imaging.dicom.codestream import Codestream, is_cut_short, read_codestream
from pneumoscope.imaging.dicom.header import age_years, check_kind, header_notes, patient_orientation
from pneumoscope.imaging.dicom.pixels import native_values, render, stored_values
from pneumoscope.imaging.dicom.shutter import bounding_box, shutter_mask
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.jpeg_damage import damage_notes
from pneumoscope.imaging.limits import BUDGET, check_scans, check_structure
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.radiograph import Radiograph, check_size

_PIXEL_DATA_TAG: Final = b"\xe0\x7f\x10\x00"  # (7FE0,0010); big-endian files are never encapsulated

# What pydicom raises on damaged files. RuntimeError includes the recursion limit (nested sequences).
_DAMAGED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def decode(data: bytes, *, sha256: str, name: str) -> Radiograph:
    """Decode one DICOM file.

    Args:
        data: the whole file, with or without preamble and file meta information.
        sha256: hash of the file.
        name: what messages call it.

    Returns:
        The image as a viewer would show it, 0 black to 255 white, and what its header says against judging it.

    Raises:
        UnreadableInputError: damaged or cut short.
        RefusedInputError: not a single-frame CR, DX or secondary-capture image, or one that cannot be decoded here.
    """
    with quiet_warnings():
        try:
            dataset = _read_dataset(data, name)
            _check_header(dataset, data, name)
            size = int(dataset.Columns) * int(dataset.Rows) * int(dataset.SamplesPerPixel)
            with BUDGET.reserve(4 * size * (int(dataset.BitsAllocated) // 8)):
                return _decode(dataset, sha256, name)
        except InputError:
            raise
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UnreadableInputError(f"{name}: damaged or cut short DICOM file ({reason})") from error


def _read_dataset(data: bytes, name: str) -> FileDataset:
    if DeflatedExplicitVRLittleEndian.encode() in data[:4096]:
        # pydicom would inflate it whole, whatever its size, before a single tag can be checked.
        raise RefusedInputError(f"{name}: the deflated transfer syntax is not read; convert it to Explicit VR")
    dataset = dcmread(BoundedReader(data, name), force=True)
    check_lengths(dataset, name)
    if "TransferSyntaxUID" not in dataset.file_meta:
        if not dataset.get("SOPClassUID") and not dataset.get("Rows"):
            raise ValueError("no DICOM data set in it")
        dataset.file_meta.TransferSyntaxUID = _bare_syntax(dataset)
    return dataset


def _bare_syntax(dataset: FileDataset) -> UID:
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return UID("1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2")


def _check_header(dataset: FileDataset, data: bytes, name: str) -> None:
    """Refuse what is not one radiograph of a decodable kind, before its pixels are touched."""
    check_kind(dataset, name)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RefusedInputError(f"{name}: {frames} frames, one image needed; extract the frame to judge")
    if dataset.get("FloatPixelData") or dataset.get("DoubleFloatPixelData"):
        raise RefusedInputError(f"{name}: float pixel data are not read; export it with integer pixels")
    if "PixelData" not in dataset and _PIXEL_DATA_TAG in data:
        # pydicom drops an element that the end of the file cuts off.
        raise EOFError("its pixel data stop too early")
    if not dataset.get("PixelData"):
        raise RefusedInputError(f"{name}: a DICOM file without pixel data; send the image itself, whole")
    check_size(int(dataset.Columns), int(dataset.Rows), name)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and str(syntax) not in CODECS:
        raise RefusedInputError(f"{name}: transfer syntax {syntax.name} is not read")
    if dataset.BitsAllocated not in (8, 16) or dataset.SamplesPerPixel not in (1, 3):
        raise RefusedInputError(
            f"{name}: {dataset.SamplesPerPixel} samples of {dataset.BitsAllocated} bits a pixel; "
            "1 or 3 samples of 8 or 16 bits are read"
        )
    if not 1 <= int(dataset.BitsStored) <= int(dataset.BitsAllocated):
        raise ValueError(f"{dataset.BitsStored} bits stored in {dataset.BitsAllocated}")


def _decode(dataset: FileDataset, sha256: str, name: str) -> Radiograph:
    syntax = dataset.file_meta.TransferSyntaxUID
    damage: tuple[str, ...] = ()
    if syntax.is_encapsulated:
        decoded, damage = _decompress(dataset, name)
        stored, photometric = stored_values(dataset, decoded, CODECS[str(syntax)])
    else:
        stored, photometric = native_values(dataset, name)
    rendered = render(dataset, stored, photometric, name)
    height, width = rendered.pixels.shape
    image = Radiograph(
        rendered.pixels,
        width,
        height,
        rendered.chroma,
        ImageFormat.DICOM,
        sha256,
        (*header_notes(dataset), *damage),
        age_years(dataset),
    )
    return _upright(dataset, _without_hidden(dataset, image, rendered.padding))


def _decompress(dataset: FileDataset, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values of a compressed frame, and a note where its data are damaged."""
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    codec = CODECS[str(dataset.file_meta.TransferSyntaxUID)]
    frame = next(generate_frames(BoundedReader(dataset.PixelData, name), number_of_frames=1))
    if is_cut_short(frame):
        raise EOFError("its compressed image stops too early")
    claimed = read_codestream(frame)
    if claimed is None and codec is not Codec.RLE:
        raise ValueError(f"its {codec} image has no header")
    if claimed is not None:
        _check_claims(claimed, (columns, rows, samples))
    if frame.startswith(b"\xff\xd8"):
        check_structure(frame, ImageFormat.JPEG, name)
        check_scans(frame, rows * columns, name)
    named = claimed is None or claimed.names_colours
    rgb = samples == 3 and not named and str(dataset.PhotometricInterpretation) == "RGB"
    form = FrameFormat(codec, rows, columns, samples, int(dataset.BitsAllocated), rgb)
    decoded = decoder_process.POOL.decode(frame, form, name)
    plain = codec is Codec.JPEG and claimed is not None and not claimed.lossless_or_deep
    return decoded, damage_notes(frame, decoded if samples == 1 else decoded[..., 0]) if plain else ()


def _check_claims(claimed: Codestream, header: tuple[int, int, int]) -> None:
    columns, rows, samples = header
    if (claimed.width, claimed.height) != (columns, rows):
        raise ValueError(f"its header says {columns} x {rows} pixels, its image {claimed.width} x {claimed.height}")
    if claimed.components != samples:
        raise ValueError(f"its header says {samples} samples a pixel, its image {claimed.components}")
    if claimed.precision > 16:
        raise ValueError(f"its image has {claimed.precision} bits a sample")


def _without_hidden(dataset: FileDataset, image: Radiograph, padding: NDArray[np.bool_] | None) -> Radiograph:
    """Paint black what is padding or what a display shutter hides; cut away rows and columns that are nothing else."""
    height, width = image.pixels.shape
    hidden = {"declared padding": padding, "what its display shutter hides": shutter_mask(dataset, height, width)}
    masks = {what: mask for what, mask in hidden.items() if mask is not None}
    if not masks:
        return image
    covered = np.logical_or.reduce(list(masks.values()))
    box = bounding_box(~covered)
    if box is None:  # nothing would be left: no radiograph is shown like that
        return image
    image.pixels[covered] = 0
    if box == (0, 0, width, height):
        return image
    return image.cropped(box, describe_cut(box, width, height, " and ".join(masks)))


def _upright(dataset: FileDataset, image: Radiograph) -> Radiograph:
    """Turn the picture so that rows run to the patient's left and columns to the feet, if its header says."""
    directions = patient_orientation(dataset)
    if directions is None or {direction[0] for direction in directions} & {"A", "P"}:
        return image
    rows, columns = (direction[0] for direction in directions)
    if (rows in "LR") == (columns in "LR"):  # both across or both along the body: no orientation of a picture
        return image
    pixels, width, height = image.pixels, image.width, image.height
    if rows in "HF":
        pixels, width, height, rows, columns = pixels.T, height, width, columns, rows
    pixels = pixels[:, ::-1] if rows == "R" else pixels
    pixels = pixels[::-1] if columns == "H" else pixels
    if pixels is image.pixels:
        return image
    note = f"turned upright: its header says that it lies as {directions[0]}\\{directions[1]}"
    return replace(image, pixels=np.ascontiguousarray(pixels), width=width, height=height, notes=(*image.notes, note))
