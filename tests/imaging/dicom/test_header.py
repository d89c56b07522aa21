"""What DICOM headers say: of what is judged all the same, of what is refused, and how the picture lies."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from pneumoscope.errors import RefusedInputError
from pneumoscope.imaging.dicom.objects import class_in_head, describe_object
from pneumoscope.imaging.dicom.reader import decode
from pneumoscope.imaging.radiograph import Radiograph
from support.phantom import chest_phantom, dicom_bytes, dicom_dataset

CHEST = chest_phantom((160, 200))
DEEP = CHEST.astype(np.uint16) * 16
TWELVE: dict[str, Any] = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
CAPTURE: dict[str, Any] = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"}


def read(stored: NDArray[Any] = DEEP, **attributes: Any) -> Radiograph:
    return read_bytes(dicom_bytes(dicom_dataset(stored, **((TWELVE if stored is DEEP else {}) | attributes))))


def read_bytes(data: bytes) -> Radiograph:
    return decode(data, sha256="", name="x.dcm")


def code(meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399173006", "SCT", meaning
    return [item]


def same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.shape == b.shape and int(np.abs(a.astype(int) - b).max()) <= 1


class TestNotes:
    @pytest.mark.parametrize(
        ("attributes", "note"),
        [
            ({"ViewPosition": "LL"}, "its header names the view LL; the model knows frontal views"),
            ({"ViewPosition": "LATERAL"}, "the view LATERAL"),
            ({"ViewPosition": "", "ViewCodeSequence": code("left lateral")}, "the view left lateral"),
            ({"ViewCodeSequence": code("right anterior oblique")}, "oblique"),
            ({"PatientOrientation": ["A", "F"]}, "lateral (patient orientation A\\F)"),
            ({"BodyPartExamined": "SKULL"}, "its header names the body part SKULL, not the chest"),
            ({"AnatomicRegionSequence": code("Abdomen")}, "the body part ABDOMEN"),
            ({"BurnedInAnnotation": "YES"}, "text is burnt into the picture"),
            ({"ImageType": ["DERIVED", "SECONDARY"]}, "a program made this picture from another"),
        ],
    )
    def test_what_speaks_against_judging(self, attributes: dict[str, Any], note: str) -> None:
        notes = read(**attributes).notes
        assert len(notes) == 1 and note in notes[0]

    @pytest.mark.parametrize(
        "attributes",
        [
            {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientOrientation": ["L", "F"]},
            {"BodyPartExamined": "CHEST LUNG", "ImageType": ["DERIVED", "PRIMARY"], "BurnedInAnnotation": "NO"},
            {"AnatomicRegionSequence": code("Thorax"), "ViewCodeSequence": code("postero-anterior")},
        ],
    )
    def test_frontal_chests_have_none(self, attributes: dict[str, Any]) -> None:
        assert read(**attributes).notes == ()

    @pytest.mark.parametrize(
        ("attributes", "years"),
        [
            ({"PatientAge": "065Y"}, 65),
            ({"PatientAge": "018M"}, 1.5),
            ({"PatientAge": "052W"}, 1.0),
            ({"PatientBirthDate": "19400101", "StudyDate": "20040701"}, 64.5),
            ({"PatientBirthDate": "", "StudyDate": "20040701"}, None),
            ({"PatientBirthDate": "20100101", "StudyDate": "20040701"}, None),
            ({}, None),
        ],
    )
    def test_age(self, attributes: dict[str, Any], years: float | None) -> None:
        assert read(**attributes).age_years == (years if years is None else pytest.approx(years, abs=0.02))


class TestKinds:
    @pytest.mark.parametrize("modality", ["DR", "CR", "DX", None])
    @pytest.mark.parametrize(
        "sop_class", [uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation]
    )
    def test_the_class_says_what_it_is_whatever_the_modality(self, modality: str | None, sop_class: str) -> None:
        assert same(read(SOPClassUID=sop_class, Modality=modality).pixels, CHEST)

    def test_the_file_meta_information_names_the_class_where_it_was_stripped(self) -> None:
        assert same(read(SOPClassUID=None, Modality=None).pixels, CHEST)

    def test_neither_class_nor_modality(self) -> None:
        dataset = pydicom.dcmread(BytesIO(dicom_bytes(dicom_dataset(DEEP, **TWELVE))))
        del dataset.SOPClassUID, dataset.Modality, dataset.file_meta.MediaStorageSOPClassUID
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=False)
        with pytest.raises(RefusedInputError, match="modality not given"):
            read_bytes(stream.getvalue())

    @pytest.mark.parametrize(
        "sop_class",
        [
            uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        ],
    )
    def test_a_multi_frame_capture_of_one_frame(self, sop_class: str) -> None:
        assert same(read(**{**CAPTURE, "SOPClassUID": sop_class}, NumberOfFrames=1).pixels, CHEST)
        with pytest.raises(RefusedInputError, match="2 frames"):
            read(**{**CAPTURE, "SOPClassUID": sop_class}, NumberOfFrames=2)

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("DICOMDIR", "a directory of DICOM files"),
            ("test-SR.dcm", "a structured report, not an image"),
            ("rtplan.dcm", "an object of radiotherapy"),
            ("CT_small.dcm", "CT Image Storage, not a CR, DX"),
        ],
    )
    def test_other_objects_are_named_for_what_they_are(self, name: str, what: str) -> None:
        with open(get_testdata_file(name, download=False), "rb") as file:  # noqa: PTH123 - a path of the package
            data = file.read()
        with pytest.raises(RefusedInputError, match=what):
            read_bytes(data)
        if not name.startswith("CT"):
            assert what in str(describe_object(class_in_head(data[:4096])))

    @pytest.mark.parametrize(
        "attributes", [{"Manufacturer": "Pneumoscope"}, {"SeriesDescription": "RESEARCH ONLY - Pneumoscope heatmap"}]
    )
    def test_what_this_program_made_is_refused(self, attributes: dict[str, Any]) -> None:
        with pytest.raises(RefusedInputError, match="Pneumoscope made itself"):
            read(CHEST, **CAPTURE, **attributes)

    def test_float_pixels(self) -> None:
        dataset = dicom_dataset(DEEP, **TWELVE)
        del dataset.PixelData
        dataset.FloatPixelData = CHEST.astype(np.float32).tobytes()
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        with pytest.raises(RefusedInputError, match="float pixel data are not read"):
            read_bytes(stream.getvalue())

    def test_pixel_data_of_two_frames_under_a_header_of_one(self) -> None:
        with pytest.raises(RefusedInputError, match="pixel data of 2 frames"):
            read(PixelData=DEEP.tobytes() * 2)


class TestPixels:
    @pytest.mark.parametrize(("stored_bits", "high_bit"), [(12, 15), (12, 13), (12, 11), (10, 11)])
    def test_bits_that_lie_higher(self, stored_bits: int, high_bit: int) -> None:
        values = (CHEST.astype(np.uint16) << (stored_bits - 8)) << (high_bit + 1 - stored_bits)
        dataset = dicom_dataset(
            values, BitsStored=stored_bits, WindowCenter=2**stored_bits / 2, WindowWidth=2**stored_bits
        )
        dataset.HighBit = high_bit
        assert same(read_bytes(dicom_bytes(dataset)).pixels, CHEST)

    def test_unused_bits_are_left_out(self) -> None:
        assert same(read(DEEP | 0xF000, **TWELVE).pixels, CHEST)

    def test_eight_bits_without_a_window_are_what_they_are(self) -> None:
        low_contrast = (CHEST // 2 + 40).astype(np.uint8)
        assert np.array_equal(read(low_contrast, **CAPTURE).pixels, low_contrast)

    def test_padding_whose_sign_was_guessed_wrong(self) -> None:
        stored = DEEP.astype(np.int16) - 1000
        stored[:, :50] = -2000
        dataset = dicom_dataset(stored, WindowCenter=1048, WindowWidth=4096)
        dataset.add_new(0x00280120, "US", 63536)
        image = read_bytes(dicom_bytes(dataset))
        assert same(image.pixels, CHEST[:, 50:]) and image.notes == ("declared padding cut away (25% left)",)

    def test_nine_lookup_tables(self) -> None:
        item = Dataset()
        item.LUTDescriptor = [65536 % 65536, 0, 16]
        item.add_new(0x00283006, "OW", (np.arange(65536, dtype="<u4") * 16).clip(0, 65535).astype("<u2").tobytes())
        assert same(read(WindowCenter=None, WindowWidth=None, VOILUTSequence=[item] * 9).pixels, CHEST)

    def test_a_window_that_does_not_meet_the_pixels(self) -> None:
        with pytest.raises(RefusedInputError, match=r"the header's window 40/400 does not meet the pixels \d+\.\.\d+"):
            read(DEEP + 1000, WindowCenter=40, WindowWidth=400, BitsStored=16)

    @pytest.mark.parametrize(
        ("orientation", "turn"),
        [
            (["L", "F"], lambda x: x),
            (["R", "F"], lambda x: x[:, ::-1]),
            (["L", "H"], lambda x: x[::-1]),
            (["R", "H"], lambda x: x[::-1, ::-1]),
            (["F", "L"], lambda x: x.T),
            (["HL", "LF"], lambda x: x.T[:, ::-1]),
        ],
    )
    def test_orientation(self, orientation: list[str], turn: Any) -> None:
        stored = np.ascontiguousarray(turn(DEEP))
        image = read(stored, PatientOrientation=orientation, **TWELVE)
        assert same(image.pixels, CHEST) and (image.width, image.height) == (200, 160)
        assert ("turned upright" in "".join(image.notes)) == (orientation != ["L", "F"])


class TestShutters:
    def test_rectangle(self) -> None:
        image = read(
            ShutterShape="RECTANGULAR",
            ShutterLeftVerticalEdge=21,
            ShutterRightVerticalEdge=180,
            ShutterUpperHorizontalEdge=11,
            ShutterLowerHorizontalEdge=150,
        )
        assert same(image.pixels, CHEST[10:150, 20:180])
        assert image.notes == ("what its display shutter hides cut away (10% left, 10% right, 6% top, 6% bottom)",)

    def test_circle_is_black_outside(self) -> None:
        image = read(ShutterShape="CIRCULAR", CenterOfCircularShutter=[80, 100], RadiusOfCircularShutter=60)
        assert image.pixels.shape == (121, 121) and not image.pixels[:15, :15].any()
        assert same(image.pixels[40:80, 40:80], CHEST[59:99, 79:119])

    def test_polygon(self) -> None:
        vertices = [20, 30, 20, 170, 140, 170, 140, 30]
        image = read(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=vertices)
        assert same(image.pixels, CHEST[19:140, 29:170])

    @pytest.mark.parametrize("edges", [(1, 200, 1, 160), (150, 50, 1, 160), (1, 5, 1, 5)])
    def test_one_that_hides_nothing_or_nearly_all_is_ignored(self, edges: tuple[int, int, int, int]) -> None:
        image = read(
            ShutterShape="RECTANGULAR",
            ShutterLeftVerticalEdge=edges[0],
            ShutterRightVerticalEdge=edges[1],
            ShutterUpperHorizontalEdge=edges[2],
            ShutterLowerHorizontalEdge=edges[3],
        )
        assert same(image.pixels, CHEST) and image.notes == ()
