"""Files that hold far more than any radiograph are refused soon, whatever they hold it in."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info

from pneumoscope.errors import RefusedInputError
from pneumoscope.imaging.reader import read_image
from support.phantom import chest_phantom, dicom_bytes, dicom_dataset

JPEG_2000 = "1.2.840.10008.1.2.4.90"
MANY = 200_000


def head() -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    buffer = BytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def many_elements() -> bytes:
    return head() + b"".join(
        struct.pack("<HH2sH", 0x0009 + 2 * (i // 60_000), i % 60_000, b"LO", 0) for i in range(MANY)
    )


def many_items() -> bytes:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    return head() + struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + MANY * item


def many_fragments() -> bytes:
    sound = dicom_dataset(chest_phantom(160))
    compressed: bytes = dicom_bytes(sound, JPEG_2000)
    start = compressed.index(b"\xe0\x7f\x10\x00") + 12
    table, fragment, end = (struct.pack("<HHI", 0xFFFE, *rest) for rest in ((0xE000, 0), (0xE000, 2), (0xE0DD, 0)))
    return compressed[:start] + table + MANY * (fragment + b"ab") + end


def long_value() -> bytes:
    sound: bytes = dicom_bytes(dicom_dataset(chest_phantom(160)), "1.2.840.10008.1.2")
    start = sound.index(b"\xe0\x7f\x10\x00")
    numbers = MANY * b"1.00000\\"
    return sound[:start] + struct.pack("<HHI", 0x0028, 0x1050, len(numbers)) + numbers + sound[start:]


@pytest.mark.parametrize("make", [many_elements, many_items, many_fragments, long_value])
def test_what_would_take_long_is_refused_soon(make: Callable[[], bytes]) -> None:
    data = make()
    start = time.process_time()
    with pytest.raises(RefusedInputError, match="radiograph") as raised:
        read_image(data, name="x.dcm")
    assert time.process_time() - start < 2
    assert str(raised.value).startswith("x.dcm: ")


def test_a_sound_file_stays_far_below_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from pneumoscope.imaging.dicom import bounds

    monkeypatch.setattr(bounds, "MAX_READS", bounds.MAX_READS // 100)
    monkeypatch.setattr(bounds, "MAX_VALUE_BYTES", bounds.MAX_VALUE_BYTES // 100)
    for syntax in (None, JPEG_2000):
        assert read_image(dicom_bytes(dicom_dataset(chest_phantom(160)), syntax)).pixels.shape == (160, 160)
