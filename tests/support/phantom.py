"""Pictures for the tests, the package's drawn chest among them, and writers for every format that is read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pneumoscope.datasets.phantom import chest_phantom

__all__ = ["chest_phantom", "colour_photo", "dicom_bytes", "dicom_dataset", "encode", "text_page"]


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
