"""DICOM radiographs in, grey ``uint8`` pixels out.

The order is that of PS3.3 C.11 and PS3.4 N.2: stored values, Modality LUT or rescale, VOI LUT or window, then
inversion. The VOI's output range becomes 0..255; an image without a VOI is stretched from its 0.5th to its 99.5th
percentile. Padding pixels become black. Where a file holds several VOI LUTs or windows the first is used, and a VOI LUT
goes before a window.

Images are inverted where the photometric interpretation is MONOCHROME1 or the Presentation LUT Shape is INVERSE; for a
DX image both say the same thing once.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from pneumoscope.errors import RefusedInputError, UnreadableInputError
from pneumoscope.imaging.dicom.bounds import BoundedReader, check_lengths
from pneumoscope.imaging.dicom.codestream import codestream_size, is_cut_short
from pneumoscope.imaging.dicom.lut import LookupTable, apply_window
from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.imaging.radiograph import ImageFormat, Radiograph, check_size, grey_and_chroma

RADIOGRAPH_CLASSES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
RADIOGRAPH_MODALITIES: Final = ("CR", "DX", "RG")
"""RG (radiographic imaging) is what digitised film and older equipment write."""

CAPTURE_MODALITIES: Final = (*RADIOGRAPH_MODALITIES, "OT", "SC", "")
"""What a secondary capture may say: many writers know no better than OT (other)."""

CHEST_PARTS: Final = ("", "CHEST", "THORAX", "LUNG", "LUNGS", "CHESTABDOMEN", "TORSO", "TRUNK", "RIB", "RIBS")
LATERAL_VIEWS: Final = ("LL", "RL", "LLD", "RLD", "LATERAL", "LAT")

NO_VOI_PERCENTILES: Final = (0.5, 99.5)

_PIXEL_DATA_TAG: Final = b"\xe0\x7f\x10\x00"  # (7FE0,0010); big-endian files are never encapsulated

# What pydicom and its plugins raise on damaged files. RuntimeError includes the recursion limit (nested sequences).
_DAMAGED: Final = (
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def decode(data: bytes, *, name: str) -> Radiograph:
    """Decode one DICOM file.

    Args:
        data: the whole file, with or without preamble and file meta information.
        name: what messages call it.

    Returns:
        The image as a viewer would show it, 0 black to 255 white. ``notes`` says where the header names another body
        part than the chest, or a lateral view: headers are too often wrong to refuse by.

    Raises:
        UnreadableInputError: damaged or cut short.
        RefusedInputError: not a single-frame CR, DX or secondary-capture image, or one that cannot be decoded here.
    """
    with quiet_warnings():
        try:
            dataset = _read_dataset(data, name)
            if "PixelData" not in dataset and _PIXEL_DATA_TAG in data:
                # pydicom drops an element that the end of the file cuts off.
                raise EOFError("its pixel data stop too early")
            _check_header(dataset, name)
            grey, chroma = _render(dataset, name)
            notes = _notes(dataset)
            width, height = int(dataset.Columns), int(dataset.Rows)
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise UnreadableInputError(f"{name}: damaged or cut short DICOM file ({reason})") from error
    return Radiograph(grey, width, height, chroma, ImageFormat.DICOM, hashlib.sha256(data).hexdigest(), notes)


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


def _check_header(dataset: FileDataset, name: str) -> None:
    """Refuse what is not one radiograph of a decodable kind, before its pixels are touched."""
    _check_kind(dataset, name)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RefusedInputError(f"{name}: {frames} frames, one image needed; extract the frame to judge")
    if not dataset.get("PixelData"):
        raise RefusedInputError(f"{name}: a DICOM file without pixel data; send the image itself, whole")
    check_size(int(dataset.Columns), int(dataset.Rows), name)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        get_decoder(syntax)
    except NotImplementedError:
        raise RefusedInputError(f"{name}: transfer syntax {syntax.name} is not read") from None
    if dataset.BitsAllocated not in (8, 16) or dataset.SamplesPerPixel not in (1, 3):
        raise RefusedInputError(
            f"{name}: {dataset.SamplesPerPixel} samples of {dataset.BitsAllocated} bits a pixel; "
            "1 or 3 samples of 8 or 16 bits are read"
        )
    if syntax.is_encapsulated:
        frame = next(generate_frames(BoundedReader(dataset.PixelData, name), number_of_frames=1))
        if is_cut_short(frame):
            raise EOFError("its compressed image stops too early")
        claimed = codestream_size(frame)
        if claimed is not None and claimed != (dataset.Columns, dataset.Rows):
            raise ValueError(
                f"its header says {dataset.Columns} x {dataset.Rows} pixels, its image {claimed[0]} x {claimed[1]}"
            )


def _check_kind(dataset: FileDataset, name: str) -> None:
    sop_class = UID(dataset.get("SOPClassUID") or "")
    modality = str(dataset.get("Modality") or "")
    if sop_class == DigitalXRayImageStorageForProcessing:
        raise RefusedInputError(f"{name}: raw detector data 'for processing'; send the 'for presentation' image")
    if sop_class and sop_class not in RADIOGRAPH_CLASSES:
        raise RefusedInputError(f"{name}: {sop_class.name}, not a CR, DX or secondary-capture image")
    if sop_class == SecondaryCaptureImageStorage:
        allowed: tuple[str, ...] = CAPTURE_MODALITIES
    else:
        # A CR or DX object is what its class says, even where the modality is left out.
        allowed = (*RADIOGRAPH_MODALITIES, "") if sop_class else RADIOGRAPH_MODALITIES
    if modality not in allowed:
        raise RefusedInputError(f"{name}: modality {modality or 'not given'}, only radiographs (CR, DX) are judged")


def _render(dataset: FileDataset, name: str) -> tuple[NDArray[np.uint8], float]:
    """Decode, and apply the grey-scale or colour pipeline."""
    syntax = dataset.file_meta.TransferSyntaxUID
    # One plugin for every syntax, so that two installations never differ by which optional decoder they found.
    plugin = "pylibjpeg" if syntax.is_encapsulated else ""
    stored, meta = get_decoder(syntax).as_array(dataset, decoding_plugin=plugin)
    photometric = str(meta["photometric_interpretation"])
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return _render_monochrome(dataset, stored, photometric), 0.0
    if photometric == "PALETTE COLOR":
        rgb = apply_color_lut(stored, dataset)
        bits = 8 * rgb.dtype.itemsize
    elif photometric == "RGB":
        rgb, bits = stored, int(dataset.BitsStored)
    else:
        raise RefusedInputError(f"{name}: photometric interpretation {photometric} is not read")
    return grey_and_chroma((rgb >> max(0, bits - 8)).astype(np.uint8))


def _render_monochrome(dataset: FileDataset, stored: NDArray[Any], photometric: str) -> NDArray[np.uint8]:
    padding = _padding(dataset, stored)
    shown = _apply_voi(dataset, _apply_modality(dataset, stored), padding)
    inverse = photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    grey: NDArray[np.uint8] = np.rint((1 - shown if inverse else shown) * 255).astype(np.uint8)
    if padding is not None:
        grey[padding] = 0
    return grey


def _padding(dataset: FileDataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where stored values are padding (PS3.3 C.7.5.1.1.2); None without padding, or where all would be."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    last = dataset.get("PixelPaddingRangeLimit", first)
    low, high = sorted((int(first), int(last)))
    mask = (stored >= low) & (stored <= high)
    return mask if mask.any() and not mask.all() else None


def _apply_modality(dataset: FileDataset, stored: NDArray[Any]) -> NDArray[np.float32]:
    if items := dataset.get("ModalityLUTSequence"):
        return _table(dataset, items).apply(stored).astype(np.float32)
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    return stored.astype(np.float32) * np.float32(slope or 1.0) + np.float32(intercept)


def _apply_voi(
    dataset: FileDataset, values: NDArray[np.float32], padding: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Map to 0..1 by the first VOI LUT, else the first window, else robust percentiles."""
    if items := dataset.get("VOILUTSequence"):
        table = _table(dataset, items)
        return np.asarray(np.clip(table.apply(values) / table.maximum, 0, 1), np.float32)
    centre, width = _number(dataset, "WindowCenter", np.nan), _number(dataset, "WindowWidth", np.nan)
    if width >= 1:  # smaller and missing widths are written by devices that have no window
        return apply_window(values, centre, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    low, high = np.percentile(values if padding is None else values[~padding], NO_VOI_PERCENTILES)
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1), np.float32)


def _table(dataset: FileDataset, items: Any) -> LookupTable:
    return LookupTable.from_item(items[0], little_endian=dataset.file_meta.TransferSyntaxUID.is_little_endian)


def _number(dataset: FileDataset, keyword: str, default: float) -> float:
    """Read the first value of a decimal attribute, or a default where it is missing or empty."""
    value = dataset.get(keyword)
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        value = value[0] if len(value) else None
    return default if value in (None, "") else float(value)


def _notes(dataset: FileDataset) -> tuple[str, ...]:
    part = str(dataset.get("BodyPartExamined") or "").upper()
    view = str(dataset.get("ViewPosition") or "").upper()
    notes = []
    if part.replace(" ", "") not in CHEST_PARTS:
        notes.append(f"its header names the body part {part}, not the chest")
    if view in LATERAL_VIEWS:
        notes.append(f"its header names the view {view}; the model knows frontal views")
    return tuple(notes)
