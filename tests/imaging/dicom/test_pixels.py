from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

from pneumoscope.errors import InputError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.dicom.codestream import read_codestream
from pneumoscope.imaging.dicom.lut import LookupTable, apply_window
from pneumoscope.imaging.dicom.reader import decode
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.imaging.quality import assess
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.imaging.reader import read_image
from support.phantom import chest_phantom, colour_photo, dicom_bytes, dicom_dataset

CHEST = chest_phantom((160, 200))
DEEP = CHEST.astype(np.uint16) * 16  # 12 bit
TWELVE: dict[str, Any] = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def read(stored: NDArray[Any], syntax: str | None = None, **attributes: Any) -> Radiograph:
    return read_dicom(dicom_bytes(dicom_dataset(stored, **attributes), syntax))


def read_dicom(data: bytes) -> Radiograph:
    """Read without cutting bars away, which is the same for every format."""
    return decode(data, sha256=hashlib.sha256(data).hexdigest(), name="input")


def sample(name: str) -> Any:
    path = get_testdata_file(name, download=False)
    assert path, f"{name} is not in pydicom or pydicom-data"
    return pydicom.dcmread(path, force=True)  # some are bare data sets


def as_cr(dataset: Any) -> bytes:
    """Relabel a sample of another modality, so that only its pixels' encoding is tested."""
    dataset.Modality = "CR"
    dataset.SOPClassUID = uid.ComputedRadiographyImageStorage
    return saved(dataset)


def saved(dataset: Any) -> bytes:
    """Write a data set as it is, compressed or not."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def difference(a: NDArray[Any], b: NDArray[Any]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


class TestTransferSyntaxes:
    @pytest.mark.parametrize(
        "syntax",
        [
            uid.ImplicitVRLittleEndian,
            uid.ExplicitVRLittleEndian,
            uid.ExplicitVRBigEndian,
            uid.RLELossless,
            uid.JPEG2000Lossless,
        ],
    )
    @pytest.mark.parametrize("depth", [8, 12, 16])
    def test_lossless_ones_give_the_same_pixels(self, syntax: str, depth: int) -> None:
        stored = CHEST if depth == 8 else CHEST.astype(np.uint16) << (depth - 8)
        window: dict[str, Any] = {"BitsStored": depth, "WindowCenter": 2 ** (depth - 1), "WindowWidth": 2**depth}
        if syntax == uid.ExplicitVRBigEndian:
            stored = stored.astype(stored.dtype.newbyteorder(">"))
        image = read(stored, syntax, **window)
        assert difference(image.pixels, CHEST) <= 1
        assert (image.width, image.height, image.chroma) == (200, 160, 0.0)
        assert image.format is ImageFormat.DICOM

    def test_jpeg_baseline(self) -> None:
        image = read(CHEST, uid.JPEGBaseline8Bit, WindowCenter=128, WindowWidth=256)
        assert np.abs(image.pixels.astype(int) - CHEST).mean() < 3

    def test_jpeg_ls(self) -> None:
        compressed, plain = (read_image(as_cr(sample(n))) for n in ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"))
        assert np.array_equal(compressed.pixels, plain.pixels) and np.ptp(plain.pixels) > 200

    def test_jpeg_lossless(self) -> None:
        dataset = sample("JPEG-LL.dcm")
        # The header says what the largest value was before compression: a shift or a lost bit would show.
        (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
        stored = imagecodecs.ljpeg_decode(frame)  # liblj92, not the reader's libjpeg-turbo
        assert stored.max() == dataset.LargestImagePixelValue
        low, high = np.percentile(stored, [0.5, 99.5])
        expected = np.rint(np.clip((stored - low) / (high - low), 0, 1) * 255)
        assert difference(read_dicom(as_cr(dataset)).pixels, expected) <= 1

    def test_jpeg_extended_twelve_bit(self) -> None:
        image = read_dicom(as_cr(sample("JPGExtended.dcm")))
        assert image.pixels.shape == (1024, 256) and np.ptp(image.pixels) > 100

    def test_jpeg_extended_that_other_decoders_refuse(self) -> None:
        image = read_dicom(as_cr(sample("JPEG-lossy.dcm")))
        assert image.pixels.shape == (1024, 256) and np.ptp(image.pixels) > 100

    def test_jpeg_2000_of_a_real_chest(self) -> None:
        images = {n: read_image(Path(sample(n).filename)) for n in ("RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm")}
        plain = images["RG1_UNCR.dcm"].pixels
        assert np.array_equal(images["RG1_J2KR.dcm"].pixels, plain)
        assert 0 < difference(images["RG1_J2KI.dcm"].pixels, plain) <= 8
        assert assess(images["RG1_UNCR.dcm"]) == ()

    @pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
    def test_bare_data_set_without_preamble_or_file_meta(self, syntax: str) -> None:
        whole = dicom_bytes(dicom_dataset(DEEP, **TWELVE), syntax)
        dataset = pydicom.dcmread(BytesIO(whole))
        buffer = BytesIO()
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(
            buffer, implicit_vr=syntax == uid.ImplicitVRLittleEndian, little_endian=True, enforce_file_format=False
        )
        bare = buffer.getvalue()
        assert b"DICM" not in bare[:200]
        assert np.array_equal(read_image(bare).pixels, read_image(whole).pixels)
        assert read_image(bare).sha256 == hashlib.sha256(bare).hexdigest()


class TestGreyScale:
    def test_monochrome1_is_inverted_after_the_window(self) -> None:
        window: dict[str, Any] = {"BitsStored": 12, "WindowCenter": 1000, "WindowWidth": 1500}
        plain = read(DEEP, **window).pixels
        inverse = read(DEEP, PhotometricInterpretation="MONOCHROME1", **window).pixels
        assert difference(inverse, 255 - plain) <= 1 and np.ptp(plain) == 255

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_presentation_lut_shape_inverts_once(self, photometric: str) -> None:
        attributes: dict[str, Any] = {
            **TWELVE,
            "PhotometricInterpretation": photometric,
            "PresentationLUTShape": "INVERSE",
        }
        assert difference(read(DEEP, **attributes).pixels, 255 - CHEST) <= 1

    def test_signed_values_with_rescale_and_window(self) -> None:
        stored = (DEEP.astype(np.int32) - 1000).astype(np.int16)
        rescale: dict[str, Any] = {"RescaleSlope": 0.5, "RescaleIntercept": 500, "RescaleType": "US"}
        image = read(stored, **rescale, WindowCenter=1024, WindowWidth=2048)
        assert difference(image.pixels, CHEST) <= 1

    def test_a_negative_slope_turns_the_scale(self) -> None:
        image = read(DEEP, RescaleSlope=-1, RescaleIntercept=4095, RescaleType="US", **TWELVE)
        assert difference(image.pixels, 255 - CHEST) <= 1

    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
    def test_windows_equal_pydicoms(self, function: str) -> None:
        dataset = dicom_dataset(
            DEEP, BitsStored=12, WindowCenter=[1300, 5], WindowWidth=[1700, 9], VOILUTFunction=function
        )
        expected = apply_windowing(DEEP, dataset) / 4095 * 255
        assert difference(read_dicom(dicom_bytes(dataset)).pixels, np.rint(expected)) <= 1

    def test_narrowest_linear_window_is_a_threshold(self) -> None:
        shown = apply_window(np.array([4, 4.4, 4.6, 5], np.float32), 5, 1)
        assert shown.tolist() == [0, 0, 1, 1]

    def test_voi_lut_goes_before_the_window(self) -> None:
        curve = (np.arange(4096) ** 2 / 4095).astype(np.uint16)
        item = Dataset()
        item.LUTDescriptor = [4096, 0, 12]
        item.LUTData = curve.tolist()
        for element in ("LUTDescriptor", "LUTData"):
            item[element].VR = "US"
        dataset = dicom_dataset(DEEP, **TWELVE, VOILUTSequence=[item])
        expected = np.rint(apply_voi_lut(DEEP, dataset) / 4095 * 255)
        assert difference(expected, CHEST) > 40
        assert difference(read_dicom(dicom_bytes(dataset)).pixels, expected) <= 1

    @pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
    def test_lookup_tables_equal_pydicoms_on_test_patterns(self, name: str) -> None:
        dataset = sample(name)
        values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
        if "VOILUTSequence" in dataset:
            expected = values / 65535
        else:
            low, high = np.percentile(values, [0.5, 99.5])
            expected = np.clip((values - low) / (high - low), 0, 1)
        assert difference(read_image(Path(dataset.filename)).pixels, np.rint(expected * 255)) <= 1

    def test_eight_bit_table_over_deep_values_does_not_wrap(self) -> None:
        item = Dataset()
        item.LUTDescriptor = [4096, 0, 8]
        item.LUTData = bytes((np.arange(4096) // 16).astype(np.uint8))
        table = LookupTable.from_item(item, little_endian=True)
        assert np.array_equal(table.apply(DEEP), CHEST) and table.maximum == 255
        assert table.apply(np.array([-5.0, 1e6])).tolist() == [0, 255]

    def test_table_that_does_not_fit_its_descriptor(self) -> None:
        item = Dataset()
        item.LUTDescriptor = [100, 0, 12]
        item.LUTData = [1, 2, 3]
        with pytest.raises(ValueError, match="100 entries"):
            LookupTable.from_item(item, little_endian=True)

    def test_without_a_voi_the_range_is_robust(self) -> None:
        stored = DEEP.copy()
        stored[0, :5] = 65535  # a few dead pixels
        image = read(stored)
        low, high = np.percentile(stored, [0.5, 99.5])
        assert difference(image.pixels, np.rint(np.clip((stored - low) / (high - low), 0, 1) * 255)) <= 1

    @pytest.mark.parametrize("width", [0, -5, ""])
    def test_a_window_without_width_counts_as_none(self, width: Any) -> None:
        expected = read(DEEP).pixels
        assert np.array_equal(read(DEEP, WindowCenter=0, WindowWidth=width).pixels, expected)

    def test_padding_is_black_left_out_of_the_range_and_cut_away(self) -> None:
        stored = DEEP.copy()
        stored[:, :40], stored[:50, 40:60] = 60000, 60000
        image = read(stored, PixelPaddingValue=60000, PhotometricInterpretation="MONOCHROME1")
        assert (image.width, image.height) == (160, 160) and image.pixels.shape == (160, 160)
        assert not image.pixels[:50, :20].any()
        assert image.pixels[50:].min() == 0 and image.pixels[50:].max() == 255
        assert image.notes == ("declared padding cut away (20% left)",)


class TestColour:
    PHOTO = colour_photo(160)

    @pytest.mark.parametrize("planar", [0, 1])
    def test_rgb_secondary_capture(self, planar: int) -> None:
        stored = np.ascontiguousarray(self.PHOTO if planar == 0 else np.moveaxis(self.PHOTO, 2, 0))
        image = read(
            self.PHOTO,
            SOPClassUID=uid.SecondaryCaptureImageStorage,
            Modality="OT",
            PlanarConfiguration=planar,
            PixelData=stored.tobytes(),
        )
        assert difference(image.pixels, np.rint(self.PHOTO @ [0.299, 0.587, 0.114])) <= 1
        assert image.chroma > 12 and "colour picture" in assess(image)[0]

    @pytest.mark.parametrize(
        "name",
        ["SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_16bit.dcm", "OT-PAL-8-face.dcm"],
    )
    def test_other_colour_encodings(self, name: str) -> None:
        image = read_image(Path(sample(name).filename))
        assert image.chroma > 50 and np.ptp(image.pixels) > 100

    def test_a_grey_radiograph_captured_in_colour_is_usable(self) -> None:
        capture: dict[str, Any] = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"}
        image = read(np.stack([CHEST] * 3, axis=2), **capture)
        assert difference(image.pixels, CHEST) <= 1 and assess(image) == ()


class TestRefusals:
    @pytest.mark.parametrize(
        ("attributes", "message"),
        [
            ({"Modality": "CT"}, "modality CT, only radiographs"),
            ({"SOPClassUID": uid.CTImageStorage, "Modality": "CT"}, "CT Image Storage, not a CR"),
            ({"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "MR"}, "modality MR"),
            ({"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}, "for processing"),
            ({"NumberOfFrames": 7}, "7 frames, one image needed"),
            ({"PixelData": b""}, "without pixel data"),
            ({"Rows": 30_000, "Columns": 30_000}, "30000 x 30000 pixels, at most 50 megapixels"),
            ({"BitsAllocated": 32}, "1 samples of 32 bits"),
            ({"SamplesPerPixel": 4}, "4 samples"),
            ({"PhotometricInterpretation": "HSV"}, "HSV"),
        ],
    )
    def test_what_is_not_one_radiograph(self, attributes: dict[str, Any], message: str) -> None:
        with pytest.raises(RefusedInputError, match=message):
            read(CHEST, **attributes)

    @pytest.mark.parametrize("modality", ["CR", "DX", "RG"])
    @pytest.mark.parametrize(
        "sop_class",
        [
            uid.ComputedRadiographyImageStorage,
            uid.DigitalXRayImageStorageForPresentation,
            uid.SecondaryCaptureImageStorage,
        ],
    )
    def test_radiographs_of_every_kind_are_read(self, modality: str, sop_class: str) -> None:
        assert read(DEEP, Modality=modality, SOPClassUID=sop_class, **TWELVE).pixels.shape == CHEST.shape

    @pytest.mark.parametrize("name", ["CT_small.dcm", "US1_UNCR.dcm", "test-SR.dcm", "rtplan.dcm", "image_dfl.dcm"])
    def test_other_objects(self, name: str) -> None:
        with pytest.raises(RefusedInputError):
            read_image(Path(sample(name).filename))

    def test_missing_size(self) -> None:
        with pytest.raises(UnreadableInputError, match="damaged or cut short DICOM"):
            read(CHEST, Rows=None)

    def test_zero_size(self) -> None:
        with pytest.raises(UnreadableInputError, match="200 x 0 pixels"):
            read(CHEST, Rows=0)

    def test_codestream_larger_than_the_header_says(self) -> None:
        dataset = dicom_dataset(CHEST)
        dataset.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
        dataset.Rows = 8
        with pytest.raises(UnreadableInputError, match="its header says 200 x 8 pixels, its image 200 x 160"):
            read_image(saved(dataset))

    @pytest.mark.parametrize(
        "syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit]
    )
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
    def test_cut_short(self, syntax: str, kept: float) -> None:
        data = dicom_bytes(dicom_dataset(CHEST), syntax)
        with pytest.raises(UnreadableInputError, match=r"x\.dcm: damaged or cut short DICOM file"):
            read_image(data[: int(len(data) * kept)], name="x.dcm")

    @pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit])
    @pytest.mark.parametrize("kept", [0.2, 0.9])
    def test_codestream_cut_short_in_a_whole_file(self, syntax: str, kept: float) -> None:
        dataset = pydicom.dcmread(BytesIO(dicom_bytes(dicom_dataset(CHEST), syntax)))
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([frame[: int(len(frame) * kept)]])
        with pytest.raises(UnreadableInputError, match="damaged or cut short DICOM file"):
            read_image(saved(dataset))

    @pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit])
    def test_random_damage_never_escapes_as_another_error(self, syntax: str) -> None:
        random = np.random.default_rng(1)
        data = dicom_bytes(dicom_dataset(CHEST, WindowCenter=128, WindowWidth=256), syntax)
        failed = 0
        for trial in range(120):
            damaged = bytearray(data)
            for position in random.integers(132, 900 if trial % 3 else len(data), 4):
                damaged[position] = random.integers(256)
            try:
                read_image(bytes(damaged))
            except InputError:
                failed += 1
        assert failed


class TestNotes:
    def test_the_leg_says_what_it_is_but_is_read(self) -> None:
        image = read_image(Path(sample("RG3_UNCR.dcm").filename))
        assert image.notes[0] == "its header names the body part EXTREMITY, not the chest"

    @pytest.mark.parametrize("part", ["", "CHEST", "THORAX", None])
    def test_chests_have_none(self, part: str | None) -> None:
        assert read(CHEST, BodyPartExamined=part, ViewPosition="PA").notes == ()

    def test_lateral_views(self) -> None:
        assert "view LL" in read(CHEST, ViewPosition="LL").notes[0]


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00", b"\xff\x4f\xff\x51", b"RLE"])
def test_codestream_without_a_size(frame: bytes) -> None:
    assert read_codestream(frame) is None
