"""From the values that a DICOM file stores to grey levels.

The order is that of PS3.3 C.11 and PS3.4 N.2: stored values, Modality LUT or rescale, VOI LUT or window, then
inversion. The VOI's output range becomes 0..255; of 8 bits or fewer without a VOI the whole range does, and a deeper
image without one is stretched from its 0.5th to its 99.5th percentile. Padding pixels become black. Where a file holds
several VOI LUTs or windows the first is used, and a VOI LUT goes before a window.

Images are inverted where the photometric interpretation is MONOCHROME1 or the Presentation LUT Shape is INVERSE; for a
DX image both say the same thing once.

Stored values have at most 16 bits, so the pipeline runs over the values that occur, not over the pixels: a table from
value to grey level is made, and each pixel is looked up in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels import apply_color_lut, convert_color_space

from pneumoscope.errors import RefusedInputError
from pneumoscope.imaging.dicom.codecs import Codec
from pneumoscope.imaging.dicom.lut import LookupTable, apply_window
from pneumoscope.imaging.radiograph import grey_and_chroma

NO_VOI_PERCENTILES: Final = (0.5, 99.5)

MAX_CLIPPED: Final = 0.8
"""Share of the pixels that a window may put at one end of the scale; one that shows less was meant for other values."""

_STRIP: Final = 2**20  # pixels looked up at a time


@dataclass(frozen=True, eq=False)
class Rendered:
    """Grey levels of an image as stored.

    Attributes:
        pixels: ``uint8 [H, W]``, 0 black to 255 white; the caller's to write to.
        chroma: as in :class:`~pneumoscope.imaging.radiograph.Radiograph`.
        padding: ``bool [H, W]``, true where the file declares that no image is; ``None`` without padding.
    """

    pixels: NDArray[np.uint8]
    chroma: float = 0.0
    padding: NDArray[np.bool_] | None = None


def native_values(dataset: FileDataset, name: str) -> tuple[NDArray[Any], str]:
    """The stored values of an uncompressed image, and the photometric interpretation that they have now.

    Raises:
        RefusedInputError: several images.
        EOFError: the pixel data stop too early.
    """
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    width = int(dataset.BitsAllocated) // 8
    photometric = str(dataset.PhotometricInterpretation)
    halved = photometric == "YBR_FULL_422"
    data: bytes = dataset.PixelData
    count = rows * columns * (2 if halved else samples)
    if len(data) < count * width:
        raise EOFError(f"its pixel data stop too early, {len(data)} of {count * width} bytes")
    if len(data) >= 2 * count * width:
        raise RefusedInputError(f"{name}: pixel data of {len(data) // (count * width)} frames, one image needed")
    big = not dataset.file_meta.TransferSyntaxUID.is_little_endian
    if big and width == 1 and dataset["PixelData"].VR == "OW":  # bytes in pairs, PS3.5 A.3 and 8.1.1
        data = np.frombuffer(data[: len(data) // 2 * 2], np.uint16).byteswap().tobytes()
    values = np.frombuffer(data, f"{'>' if big else '<'}u{width}", count).astype(f"u{width}", copy=False)
    if halved:
        return _full_chroma(values, rows, columns), "YBR_FULL"
    shaped: NDArray[Any]
    if samples == 1:
        shaped = values.reshape(rows, columns)
    elif int(dataset.get("PlanarConfiguration") or 0):
        planes: NDArray[Any] = values.reshape(samples, rows, columns)
        shaped = np.moveaxis(planes, 0, -1)
    else:
        shaped = values.reshape(rows, columns, samples)
    return _as_declared(dataset, shaped), photometric


def _full_chroma(values: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Two luma, one blue and one red chroma value for each two pixels of a row (PS3.3 C.7.6.3.1.2) to three a pixel."""
    if columns % 2:
        raise ValueError(f"{columns} columns of halved chroma")
    pairs = values.reshape(rows, columns // 2, 4)
    chroma = np.repeat(pairs[..., 2:], 2, axis=1)
    return np.concatenate([pairs[..., :2].reshape(rows, columns, 1), chroma], axis=2)


def stored_values(dataset: FileDataset, decoded: NDArray[Any], codec: Codec) -> tuple[NDArray[Any], str]:
    """The same of what a decoder gave back.

    Args:
        dataset: the header.
        decoded: ``[H, W]`` or ``[H, W, 3]``.
        codec: that it was compressed with.
    """
    photometric = str(dataset.PhotometricInterpretation)
    if codec is Codec.JPEG and decoded.ndim == 3:
        return decoded, "RGB"  # libjpeg converts
    if codec is Codec.JPEG_2000 and photometric in ("YBR_RCT", "YBR_ICT"):
        photometric = "RGB"  # the inverse of its component transform was applied
    if codec is Codec.RLE:
        return _as_declared(dataset, decoded), photometric
    return _as_signed(dataset, decoded), photometric


def _as_declared(dataset: FileDataset, values: NDArray[Any]) -> NDArray[Any]:
    """Only the stored bits, where High Bit says they lie, as signed numbers where the header says so."""
    stored = int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    if not stored - 1 <= high < int(dataset.BitsAllocated):
        raise ValueError(f"high bit {high} of {stored} bits stored")
    shift = high + 1 - stored
    return _as_signed(dataset, values >> np.array(shift, values.dtype) if shift else values)


def _as_signed(dataset: FileDataset, values: NDArray[Any]) -> NDArray[Any]:
    """Mask unused bits; two's complement of the stored bits becomes signed numbers."""
    bits, width = int(dataset.BitsStored), 8 * values.dtype.itemsize
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    if signed == (values.dtype.kind == "i") and bits >= width:
        return values
    unused = max(0, width - bits)
    unsigned = values.astype(f"u{values.dtype.itemsize}", copy=False) << np.array(unused, f"u{values.dtype.itemsize}")
    kind = unsigned.view(f"i{values.dtype.itemsize}") if signed else unsigned
    return np.asarray(kind >> np.array(unused, kind.dtype))


def render(dataset: FileDataset, stored: NDArray[Any], photometric: str, name: str) -> Rendered:
    """Apply the grey-scale or colour pipeline.

    Args:
        dataset: the header.
        stored: ``[H, W]`` or ``[H, W, 3]`` integers.
        photometric: their photometric interpretation.
        name: what messages call the file.

    Raises:
        RefusedInputError: a photometric interpretation that is not read, or a window that does not meet the pixels.
        ValueError: a lookup table or window that makes no sense.
    """
    if stored.ndim == 2 and photometric in ("MONOCHROME1", "MONOCHROME2"):
        return _render_monochrome(dataset, stored, photometric, name)
    if stored.ndim == 2 and photometric == "PALETTE COLOR":
        rgb = apply_color_lut(stored, dataset)
        bits = 8 * rgb.dtype.itemsize
    elif stored.ndim == 3 and photometric in ("RGB", "YBR_FULL"):
        rgb, bits = stored, int(dataset.BitsStored)
    elif re.fullmatch(r"MONOCHROME[12]|PALETTE COLOR|RGB|HSV|ARGB|CMYK|YBR_[A-Z0-9_]+|XYB", photometric):
        raise RefusedInputError(f"{name}: photometric interpretation {photometric} is not read")
    else:
        raise ValueError(f"photometric interpretation {photometric!r} is none")
    rgb = (rgb >> max(0, bits - 8)).astype(np.uint8)
    if photometric == "YBR_FULL":
        rgb = convert_color_space(rgb, "YBR_FULL", "RGB")
    grey, chroma = grey_and_chroma(np.ascontiguousarray(rgb))
    return Rendered(grey.copy(), chroma)


def _strips(stored: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _STRIP // stored.shape[1])
    for top in range(0, stored.shape[0], rows):
        yield slice(top, top + rows)


def _render_monochrome(dataset: FileDataset, stored: NDArray[Any], photometric: str, name: str) -> Rendered:
    low, high = int(stored.min()), int(stored.max())
    levels = np.arange(low, high + 1)
    counts = np.zeros(len(levels), np.int64)
    for strip in _strips(stored):
        counts += np.bincount((stored[strip].astype(np.int32) - low).ravel(), minlength=len(levels))
    is_padding = _padding_levels(dataset, levels, counts)
    shown = _apply_voi(dataset, _apply_modality(dataset, levels), counts * ~is_padding, name)
    inverse = photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    table: NDArray[np.uint8] = np.rint((1 - shown if inverse else shown) * 255).astype(np.uint8)
    table[is_padding] = 0
    grey = np.empty(stored.shape, np.uint8)
    padding = np.empty(stored.shape, np.bool_) if is_padding.any() else None
    for strip in _strips(stored):
        index = stored[strip].astype(np.int32) - low
        grey[strip] = table[index]
        if padding is not None:
            padding[strip] = is_padding[index]
    return Rendered(grey, 0.0, padding)


def _padding_levels(dataset: FileDataset, levels: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2); none without padding, or where all pixels would be."""
    none = np.zeros(len(levels), np.bool_)
    first = dataset.get("PixelPaddingValue")
    if first is None or first == "":
        return none
    last = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(_as_pixel(dataset, int(end)) for end in (first, first if last in (None, "") else last))
    inside = (levels >= ends[0]) & (levels <= ends[1])
    return inside if counts[inside].any() and counts[~inside].any() else none


def _as_pixel(dataset: FileDataset, value: int) -> int:
    """A value whose VR (US or SS) may have been guessed wrong, as a pixel of this image would hold it."""
    bits = int(dataset.BitsAllocated)
    value %= 2**bits
    return value - 2**bits if int(dataset.get("PixelRepresentation") or 0) == 1 and value >= 2 ** (bits - 1) else value


def _apply_modality(dataset: FileDataset, levels: NDArray[Any]) -> NDArray[np.float32]:
    if items := dataset.get("ModalityLUTSequence"):
        return _table(dataset, items).apply(levels).astype(np.float32)
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    return levels.astype(np.float32) * np.float32(slope or 1.0) + np.float32(intercept)


def _apply_voi(
    dataset: FileDataset, values: NDArray[np.float32], counts: NDArray[np.int64], name: str
) -> NDArray[np.float32]:
    """Map to 0..1 by the first VOI LUT, else the first window, else the range of 8 bits, else robust percentiles.

    Args:
        dataset: the header.
        values: ``float32 [N]``, what each stored value means.
        counts: pixels of each stored value, padding left out.
        name: what messages call the file.
    """
    if items := dataset.get("VOILUTSequence"):
        table = _table(dataset, items)
        return np.asarray(np.clip(table.apply(values) / table.maximum, 0, 1), np.float32)
    centre, width = _number(dataset, "WindowCenter", np.nan), _number(dataset, "WindowWidth", np.nan)
    if width >= 1:  # smaller and missing widths are written by devices that have no window
        shown = apply_window(values, centre, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
        _check_window(shown, values, counts, f"{centre:g}/{width:g}", name)
        return shown
    bits = int(dataset.BitsStored)
    if bits <= 8 and not int(dataset.get("PixelRepresentation") or 0):
        ends = _apply_modality(dataset, np.array([0, 2**bits - 1]))
        low, high = float(ends.min()), float(ends.max())
    else:
        low, high = _percentiles(values, counts)
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1), np.float32)


def _check_window(
    shown: NDArray[np.float32], values: NDArray[np.float32], counts: NDArray[np.int64], window: str, name: str
) -> None:
    total = counts.sum()
    if max(counts[shown <= 0].sum(), counts[shown >= 1].sum()) > MAX_CLIPPED * total:
        there = values[counts > 0]
        raise RefusedInputError(
            f"{name}: the header's window {window} does not meet the pixels {there.min():g}..{there.max():g}; "
            "export it with the window it is read with"
        )


def _percentiles(values: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[float, float]:
    """``NO_VOI_PERCENTILES`` of the pixels, as ``np.percentile`` gives them."""
    order = np.argsort(values, kind="stable")
    ordered, until = values[order], np.cumsum(counts[order])
    results = []
    for percentile in NO_VOI_PERCENTILES:
        position = percentile / 100 * (until[-1] - 1)
        places = np.searchsorted(until, [int(position), int(np.ceil(position))], side="right")
        below, above = ordered[places]
        results.append(float(below + (above - below) * (position - int(position))))
    return results[0], results[1]


def _table(dataset: FileDataset, items: Any) -> LookupTable:
    return LookupTable.from_item(items[0], little_endian=dataset.file_meta.TransferSyntaxUID.is_little_endian)


def _number(dataset: FileDataset, keyword: str, default: float) -> float:
    """Read the first value of a decimal attribute, or a default where it is missing or empty."""
    value = dataset.get(keyword)
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        value = value[0] if len(value) else None
    return default if value in (None, "") else float(value)
