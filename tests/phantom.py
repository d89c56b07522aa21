"""Synthetic frontal chest radiographs for the tests, and writers for every format that is read.

No real radiograph is copied: the picture is drawn from ellipses and arcs.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def chest_phantom(size: int | tuple[int, int] = 512, seed: int = 0, *, opacity: float = 0.0) -> NDArray[np.uint8]:
    """Draw a chest: body outline, lungs, ribs, heart, spine, and film noise.

    Args:
        size: side, or (height, width), in pixels.
        seed: varies anatomy and noise.
        opacity: strength 0 to 1 of a consolidation in the lower lung on the picture's left.

    Returns:
        ``uint8 [H, W]``, 0 black to 255 white.
    """
    height, width = (size, size) if isinstance(size, int) else size
    random = np.random.default_rng(seed)
    x = np.linspace(-1, 1, width)[None, :] + random.uniform(-0.04, 0.04)
    y = np.linspace(-1, 1, height)[:, None] + random.uniform(-0.04, 0.04)

    def ellipse(cx: float, cy: float, rx: float, ry: float, edge: float = 0.08) -> NDArray[np.float64]:
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return np.clip((1 - distance) / edge, 0, 1)

    picture = 14.0 + 128 * ellipse(0, 0.35, 0.93, 1.45)
    lungs = np.maximum(ellipse(-0.42, -0.08, 0.34, 0.66), ellipse(0.42, -0.08, 0.34, 0.66))
    picture -= 78 * lungs
    ribs = np.maximum(0, np.sin((y + 0.45 * x**2) * 26 + random.uniform(0, 6))) ** 3
    picture += 26 * ribs * ellipse(0, -0.1, 0.82, 0.8)
    picture += 70 * np.exp(-((x / 0.11) ** 2)) * (0.8 + 0.2 * np.sin(y * 34))
    picture += 62 * ellipse(0.14, 0.28, 0.34, 0.36, edge=0.15)
    picture += 72 * np.clip((y - 0.5 + 0.18 * np.cos(x * 5)) / 0.12, 0, 1) * ellipse(0, 0.35, 0.93, 1.45)
    if opacity:
        picture += 90 * opacity * np.exp(-(((x + 0.42) / 0.2) ** 2 + ((y - 0.2) / 0.22) ** 2)) * lungs
    picture += random.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def colour_photo(size: int = 256, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a smooth colourful picture: ``uint8 [H, W, 3]``."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC))


def text_page(size: int = 512) -> NDArray[np.uint8]:
    """Draw lines of text on white: ``uint8 [H, W]``."""
    from PIL import ImageDraw

    page = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(page)
    for y in range(20, size - 20, 16):
        draw.text((20, y), "No acute cardiopulmonary process. " * 3, 0)
    return np.asarray(page.filter(ImageFilter.BoxBlur(0.5)))


def encode(pixels: NDArray[Any] | Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """Encode an array or a Pillow image; ``options`` go to Pillow's writer."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def dicom_dataset(stored: NDArray[Any], **attributes: Any) -> Any:
    """Build a CR data set around stored values.

    Args:
        stored: ``uint8``, ``uint16`` or ``int16 [H, W]``, or ``uint8 [H, W, 3]``.
        attributes: DICOM keywords to add or replace; ``None`` removes one.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=["phantom"]),
        "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]),
        "PatientName": "Phantom^Chest",
        "PatientID": "PHANTOM",
        "Modality": "CR",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1 if stored.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if stored.ndim == 2 else "RGB",
        "BitsAllocated": 8 * stored.dtype.itemsize,
        "BitsStored": 8 * stored.dtype.itemsize,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.tobytes() + b"\0" * (stored.nbytes % 2),
    }
    if stored.ndim == 3:
        values["PlanarConfiguration"] = 0
    for keyword, value in (values | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", ComputedRadiographyImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def dicom_bytes(dataset: Any, syntax: str | None = None) -> bytes:
    """Write a data set as a DICOM file, compressed to ``syntax`` where that is a compressed one.

    JPEG baseline is encoded by Pillow at quality 95; RLE and JPEG 2000 by pydicom and pylibjpeg.
    """
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ImplicitVRLittleEndian, JPEGBaseline8Bit

    uid = UID(syntax or dataset.file_meta.TransferSyntaxUID)
    if uid == JPEGBaseline8Bit:
        jpeg = encode(dataset.pixel_array, "JPEG", quality=95)
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([jpeg])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    elif uid.is_compressed:
        dataset.compress(uid, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = uid
    buffer = BytesIO()
    dataset.save_as(
        buffer,
        implicit_vr=uid == ImplicitVRLittleEndian,
        little_endian=uid.is_little_endian,
        enforce_file_format=True,
    )
    return buffer.getvalue()
