"""Writes app/engine/test/golden/: pictures in every format and what Python reads in them, for the engine's tests.

    python tools/page_golden.py

Drawn chests only. Needs the dev environment, and `imagecodecs` for JPEG lossless (it is in none of our extras, since
nothing but this tool encodes it). Files that are there already are kept, so that an encoder of another version changes
nothing; remove one to have it made anew.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless, SecondaryCaptureImageStorage

from pneumoscope.errors import InputError, RefusedInputError
from pneumoscope.imaging.quality import assess
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from support import phantom

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "app" / "engine" / "test" / "golden"
CHEST = phantom.chest_phantom((146, 133), 7, opacity=0.6)
DEEP = (CHEST.astype(np.uint16) << 8) + np.random.default_rng(1).integers(0, 256, CHEST.shape, dtype=np.uint16)
COLOUR = phantom.colour_photo(160)


def png(pixels: NDArray[Any] | Image.Image, **options: Any) -> bytes:
    """As PNG, by Pillow."""
    return phantom.encode(pixels, "PNG", **options)


def raw_png(
    values: NDArray[Any], bits: int, colour_type: int, extra: bytes = b"", *, interlaced: bool = False
) -> bytes:
    """A PNG of a kind that Pillow does not write: 16-bit colour, few bits, interlaced, with a chunk of its own."""
    height, width = values.shape[:2]

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    def rows(part: NDArray[Any]) -> bytes:
        if part.size == 0:
            return b""
        if bits < 8:
            spread = (part[..., None] >> np.arange(bits - 1, -1, -1)) & 1
            return b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in spread)
        kind = ">u2" if bits == 16 else "u1"
        return b"".join(b"\0" + row.astype(kind).tobytes() for row in part)

    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [values[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [values]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    body = zlib.compress(b"".join(map(rows, parts)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and content of every picture that is no DICOM file."""
    grey = Image.fromarray(CHEST)
    rgba = grey.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.linspace(0, 255, CHEST.size).reshape(CHEST.shape).astype(np.uint8)))
    clear = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", int(CHEST[0, 0]))
    clear += struct.pack(">I", zlib.crc32(clear[4:]))
    exif = Image.Exif()
    yield "grey.jpg", lambda: phantom.encode(CHEST, "JPEG", quality=85)
    yield "grey-progressive.jpg", lambda: phantom.encode(CHEST, "JPEG", progressive=True)
    yield "colour-of-grey.jpg", lambda: phantom.encode(grey.convert("RGB"), "JPEG", quality=90)
    yield "colour-420.jpg", lambda: phantom.encode(COLOUR, "JPEG", quality=80)
    yield "colour-444.jpg", lambda: phantom.encode(COLOUR, "JPEG", quality=95, subsampling=0)
    yield "cut-short.jpg", lambda: phantom.encode(CHEST, "JPEG", quality=85)[:2500]
    yield "cmyk.jpg", lambda: phantom.encode(grey.convert("CMYK"), "JPEG")
    for orientation in range(2, 9):
        exif[0x0112] = orientation
        block = exif.tobytes()
        yield f"turned-{orientation}.jpg", lambda block=block: phantom.encode(CHEST[:140, :130], "JPEG", exif=block)  # type: ignore[misc]
    yield "grey-8.png", lambda: png(CHEST)
    yield "grey-16.png", lambda: png(Image.fromarray(DEEP))
    yield "grey-12-in-16.png", lambda: png(Image.fromarray(DEEP >> 5))
    yield "grey-16-interlaced.png", lambda: raw_png(DEEP, 16, 0, interlaced=True)
    yield "grey-4.png", lambda: raw_png(CHEST >> 4, 4, 0)
    yield "grey-2.png", lambda: raw_png(CHEST >> 6, 2, 0)
    yield "grey-1.png", lambda: raw_png(CHEST >> 7, 1, 0)
    yield "grey-8-interlaced.png", lambda: raw_png(CHEST, 8, 0, interlaced=True)
    yield "grey-8-transparent.png", lambda: raw_png(CHEST, 8, 0, clear)
    yield "palette.png", lambda: png(Image.fromarray(COLOUR).quantize(64))
    yield (
        "palette-transparent.png",
        lambda: png(Image.fromarray(COLOUR).quantize(32), transparency=bytes(range(0, 256, 8))),
    )
    yield "rgb-8.png", lambda: png(COLOUR)
    yield "rgb-16.png", lambda: raw_png(np.stack([DEEP] * 3, -1), 16, 2)
    yield "rgba-8.png", lambda: png(rgba)
    yield "grey-alpha-8.png", lambda: png(rgba.convert("LA"))
    yield "grey-alpha-16.png", lambda: raw_png(np.stack([DEEP, np.full_like(DEEP, 40000)], -1), 16, 4)
    yield "turned.png", lambda: png(CHEST, exif=_turned(6), pnginfo=PngInfo())
    yield "cut-short.png", lambda: png(CHEST)[:3000]
    yield "animated.png", lambda: png(grey, save_all=True, append_images=[grey.rotate(90)])
    yield "grey.webp", lambda: phantom.encode(grey, "WEBP", lossless=True)
    yield "grey.bmp", lambda: phantom.encode(grey, "BMP")
    yield "grey.gif", lambda: phantom.encode(grey, "GIF")
    yield "two.gif", lambda: phantom.encode(grey, "GIF", save_all=True, append_images=[grey.rotate(90)])
    yield "text-page.png", lambda: png(phantom.text_page(200))
    yield "blank.png", lambda: png(np.full((200, 200), 90, np.uint8))
    yield "faint.png", lambda: png((CHEST.astype(int) // 20 + 100).astype(np.uint8))
    yield "inverted.png", lambda: png(255 - CHEST)
    yield "black.png", lambda: png(np.pad(CHEST, 200))
    yield "noise.png", lambda: png(np.random.default_rng(3).integers(0, 256, (200, 200), dtype=np.uint8))
    yield "small.png", lambda: png(CHEST[:100])
    yield "long.png", lambda: png(np.repeat(phantom.chest_phantom(140, 3), 5, axis=0))
    yield "photo.png", lambda: png(COLOUR)
    yield "bars.png", lambda: png(np.pad(CHEST, ((0, 0), (20, 31)), constant_values=3))
    yield "letterbox.jpg", lambda: phantom.encode(np.pad(CHEST, ((25, 25), (9, 40))), "JPEG", quality=92)
    yield "transparent.png", lambda: png(_all_clear())
    yield "own.png", lambda: png(CHEST, pnginfo=_own())
    yield "step.jpg", lambda: phantom.encode(_stepped(), "JPEG", quality=98)
    yield "empty.jpg", lambda: b""
    yield "pointer.jpg", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    yield "words.txt", lambda: b'not a picture, "quoted" and it\'s short\n\x00\xff'


def _all_clear() -> Image.Image:
    rgba = Image.fromarray(CHEST).convert("RGBA")
    rgba.putalpha(0)
    return rgba


def _own() -> PngInfo:
    about = PngInfo()
    about.add_text("Software", "Pneumoscope")
    return about


def _stepped() -> NDArray[np.uint8]:
    smooth = np.asarray(Image.fromarray(CHEST).resize((160, 160), Image.Resampling.BICUBIC)).astype(int) // 2 + 40
    smooth[80:] += 30
    return smooth.astype(np.uint8)


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def chest_dicom(**changes: Any) -> Any:
    """A CR data set of the drawn chest, 16 bits of which 12 are in use."""
    return phantom.dicom_dataset(DEEP >> 4, **{"BitsStored": 12, **changes})


def lookup_table(first: int, bits: int, entries: NDArray[Any]) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return item


def dicoms() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and content of every DICOM file."""

    def saved(dataset: Any, syntax: str | None = None) -> Callable[[], bytes]:
        return lambda: phantom.dicom_bytes(dataset, syntax)

    window = {"WindowCenter": "1900", "WindowWidth": "3000"}
    yield "plain.dcm", saved(chest_dicom())
    yield "implicit.dcm", saved(chest_dicom(), "1.2.840.10008.1.2")
    yield "big-endian.dcm", saved(_big_endian(), "1.2.840.10008.1.2.2")
    yield "bare.dcm", lambda: _bare(phantom.dicom_bytes(chest_dicom()))
    yield "window.dcm", saved(chest_dicom(**window))
    yield "window-exact.dcm", saved(chest_dicom(**window, VOILUTFunction="LINEAR_EXACT"))
    yield "window-sigmoid.dcm", saved(chest_dicom(**window, VOILUTFunction="SIGMOID"))
    yield "two-windows.dcm", saved(chest_dicom(WindowCenter=["1500", "2000"], WindowWidth=["2500", "4000"]))
    yield "monochrome1.dcm", saved(chest_dicom(**window, PhotometricInterpretation="MONOCHROME1"))
    yield "inverse.dcm", saved(chest_dicom(**window, PresentationLUTShape="INVERSE"))
    yield "rescale.dcm", saved(chest_dicom(RescaleSlope="0.37", RescaleIntercept="-120.5"))
    yield "negative-slope.dcm", saved(chest_dicom(RescaleSlope="-1", RescaleIntercept="4095"))
    yield "padding.dcm", saved(_padded())
    yield "voi-lut.dcm", saved(_with_table("VOILUTSequence", lookup_table(0, 12, np.arange(4096) ** 2 // 4096)))
    yield "modality-lut.dcm", saved(_with_table("ModalityLUTSequence", lookup_table(0, 16, np.arange(4096) * 15)))
    yield "signed.dcm", saved(_signed())
    yield "lateral-abdomen.dcm", saved(chest_dicom(ViewPosition="LL", BodyPartExamined="ABDOMEN"))
    yield "ct.dcm", saved(chest_dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"))
    yield "two-frames.dcm", saved(chest_dicom(NumberOfFrames=2))
    yield "no-pixels.dcm", saved(_without_pixels())
    yield "cut-short.dcm", lambda: phantom.dicom_bytes(chest_dicom())[:20000]
    yield (
        "capture-8-bit.dcm",
        saved(phantom.dicom_dataset(CHEST, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")),
    )
    yield "window-misses.dcm", saved(chest_dicom(WindowCenter="60000", WindowWidth="100"))
    yield "age-045.dcm", saved(chest_dicom(PatientAge="045Y", BurnedInAnnotation="YES"))
    yield "age-by-dates.dcm", saved(chest_dicom(PatientBirthDate="20200301", StudyDate="20240510"))
    yield "own.dcm", saved(chest_dicom(SeriesDescription="Pneumoscope heatmap"))
    yield "derived.dcm", saved(chest_dicom(ImageType=["DERIVED", "SECONDARY", "OTHER"]))
    yield "coded-view.dcm", saved(_with_table("ViewCodeSequence", _code("left lateral")))
    yield "coded-part.dcm", saved(_with_table("AnatomicRegionSequence", _code("Hand")))
    for rows, columns in ("RF", "LH", "FL", "HR", "AF"):
        yield f"lies-{rows}{columns}.dcm", saved(chest_dicom(PatientOrientation=[rows, columns]))
    rectangle = {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 11, "ShutterRightVerticalEdge": 120}
    rectangle |= {"ShutterUpperHorizontalEdge": 5, "ShutterLowerHorizontalEdge": 140}
    yield "shutter-rectangle.dcm", saved(chest_dicom(**rectangle))
    circle = {"CenterOfCircularShutter": [73, 66], "RadiusOfCircularShutter": 60}
    yield "shutter-circle.dcm", saved(chest_dicom(ShutterShape="CIRCULAR", **circle))
    yield "modality-dr.dcm", saved(chest_dicom(Modality="DR"))
    yield "report.dcm", saved(chest_dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="SR"))
    yield "rle.dcm", saved(chest_dicom(), RLELossless)
    yield "jpeg-ls.dcm", saved(chest_dicom(), "1.2.840.10008.1.2.4.80")
    yield "jpeg-2000.dcm", saved(chest_dicom(), "1.2.840.10008.1.2.4.90")
    yield "jpeg-lossless.dcm", _lossless()
    yield "jpeg-baseline.dcm", saved(phantom.dicom_dataset(CHEST), JPEGBaseline8Bit)
    yield (
        "rgb-rle.dcm",
        saved(phantom.dicom_dataset(COLOUR, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"), RLELossless),
    )
    yield (
        "rgb.dcm",
        saved(
            phantom.dicom_dataset(np.stack([CHEST] * 3, -1), SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")
        ),
    )


def _padded() -> Any:
    values = (DEEP >> 4).copy()
    values[:, :20] = 4000
    dataset = chest_dicom(PixelData=values.tobytes())
    dataset.add_new(0x00280120, "US", 4000)
    return dataset


def _with_table(keyword: str, item: Dataset) -> Any:
    dataset = chest_dicom()
    setattr(dataset, keyword, [item])
    return dataset


def _signed() -> Any:
    values = (DEEP >> 4).astype(np.int16) - 2048
    return chest_dicom(PixelData=values.tobytes(), PixelRepresentation=1, BitsStored=12)


def _code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "SCT", meaning
    return item


def _without_pixels() -> Any:
    dataset = chest_dicom()
    del dataset.PixelData
    return dataset


def _big_endian() -> Any:
    return chest_dicom(PixelData=(DEEP >> 4).astype(">u2").tobytes())


def _bare(data: bytes) -> bytes:
    """A data set without preamble and file meta information: from its first element of group 0008 on."""
    return data[data.index(b"\x08\x00\x16\x00UI") :]


def _lossless() -> Callable[[], bytes]:
    def make() -> bytes:
        import imagecodecs

        dataset = chest_dicom()
        dataset.PixelData = encapsulate([imagecodecs.ljpeg_encode(DEEP >> 4, bitspersample=12)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    return make


def expected(data: bytes, name: str) -> dict[str, Any]:
    """What Python reads in a file: pixels, checks and notes, or why it could not."""
    try:
        image = read_image(data, target=None, name=name)
    except InputError as error:
        refused = isinstance(error, RefusedInputError)
        text = "; ".join(error.reasons) if isinstance(error, RefusedInputError) else str(error)
        return {"status": "refused" if refused else "error", "message": text.removeprefix(f"{name}: ")}
    small = shrink(image.pixels, width=96, height=112)
    return {
        "status": "read",
        "size": [image.pixels.shape[1], image.pixels.shape[0]],
        "pixels_sha256": hashlib.sha256(image.pixels.tobytes()).hexdigest(),
        "shrunk_sha256": hashlib.sha256(small.tobytes()).hexdigest(),
        "mean": round(float(image.pixels.mean()), 4),
        "chroma": round(image.chroma, 6),
        "reasons": list(assess(image)),
        "notes": list(image.notes),
        "sha256": image.sha256,
    }


def main() -> int:
    """Write what is missing, and what Python reads in all of it."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    table = {}
    for name, make in (*pictures(), *dicoms()):
        file = GOLDEN / name
        if not file.exists():
            file.write_bytes(make())
        table[name] = expected(file.read_bytes(), name)
    text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    (GOLDEN / "expected.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
