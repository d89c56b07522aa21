"""The objects: valid by independent tools, marked, tied to their source, and always the same bytes."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    DigitalXRayImageStorageForPresentation,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import Population
from pneumoscope.model.prediction import Prediction, Status
from pneumoscope.pacs.finding import Presence, describe
from pneumoscope.pacs.guards import Guards, Unknown
from pneumoscope.pacs.marking import Kind
from pneumoscope.pacs.objects import Result, make_objects
from support.dicom_tools import child_file, complaints, read_tid1500, texts

# pydicom warns where a test writes what devices should not.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")

MADE = datetime(2026, 3, 4, 5, 6, 7)
CHILDREN = Guards(minimum_age=1, maximum_age=5)


def made(content: bytes, model: Model, *, guards: Guards = CHILDREN, **options: Any) -> Result:
    return make_objects(content, model, made=MADE, guards=guards, **options)


def datasets(result: Result) -> dict[Kind, pydicom.Dataset]:
    return {each.kind: pydicom.dcmread(BytesIO(each.content)) for each in result.objects}


ODD: dict[str, dict[str, Any]] = {
    "ordinary": {},
    "nothing of type 2": dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    ),
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
    "Korean": {"SpecificCharacterSet": ["", "ISO 2022 IR 149"], "PatientName": "Hong^Gildong=洪^吉洞=홍^길동"},
    "name of one component": {"PatientName": "ward"},
    "sex X": {"PatientSex": "X"},
    "birth date 0": {"PatientBirthDate": "00000000"},
    "digital": {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"},
    "capture of a radiograph": {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"},
}


@pytest.mark.parametrize("name", ODD)
def test_every_header_gives_objects_that_the_validators_accept(name: str, model: Model, tmp_path: Path) -> None:
    guards = dataclasses.replace(CHILDREN, unknown_age=Unknown.JUDGE)
    result = made(child_file(**ODD[name]), model, guards=guards)
    assert [each.kind for each in result.objects] == [Kind.REPORT, Kind.CAPTURE]
    for each in result.objects:
        file = tmp_path / f"{each.kind}.dcm"
        file.write_bytes(each.content)
        assert complaints(file) == []
    found = read_tid1500(tmp_path / "report.dcm", tmp_path)
    (group,) = found["Measurements"]
    assert group["Finding"]["CodeValue"] == "233604007"
    assert group["FindingSite"]["CodeValue"] == "39607008"
    assert group["measurementItems"][0]["value"] == f"{result.finding.certainty:.1f}"
    assert group["measurementAlgorithmIdentification"]["AlgorithmName"] == model.info.name
    values = {each["conceptCode"]["CodeValue"]: each["conceptValue"] for each in group["qualitativeEvaluations"]}
    assert values["705057003"]["CodeMeaning"].lower() == result.finding.presence
    assert found["VerificationFlag"] == "UNVERIFIED"


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_radiographs_are_judged_alike(syntax: str, model: Model) -> None:
    plain, compressed = made(child_file(), model), made(child_file(syntax=syntax), model)
    assert compressed.finding == plain.finding


def test_the_same_image_gives_the_same_bytes(model: Model) -> None:
    assert made(child_file(), model).objects == made(child_file(), model).objects


def test_whatever_changes_the_content_changes_the_uids(model: Model) -> None:
    first = made(child_file(), model)
    others = (
        made(child_file(PatientName="Other^Name"), model),
        made(child_file(1, SOPInstanceUID="1.2.826.0.1.3680043.10.999.1.1.1"), model),
        made(child_file(), model, operating_point="high_sensitivity"),
    )
    uids = [each.sop_instance_uid for result in (first, *others) for each in result.objects]
    assert len(set(uids)) == len(uids)


def test_a_later_time_changes_no_uid(model: Model) -> None:
    later = make_objects(child_file(), model, made=datetime(2027, 1, 1), guards=CHILDREN)
    assert [o.sop_instance_uid for o in later.objects] == [
        o.sop_instance_uid for o in made(child_file(), model).objects
    ]


def test_objects_are_the_patients_and_marked(model: Model) -> None:
    both = datasets(made(child_file(), model))
    for dataset in both.values():
        assert (str(dataset.PatientName), dataset.PatientID, dataset.AccessionNumber) == (
            "Phantom^Chest",
            "CHILD0",
            "A0",
        )
        assert dataset.StudyInstanceUID == "1.2.826.0.1.3680043.10.999.1"
        assert dataset.SeriesDescription.startswith("RESEARCH ONLY")
        assert dataset.Manufacturer == "Pneumoscope"
        own, _ = list(dataset.ContributingEquipmentSequence)
        assert own.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert own.DeviceUID
    report, capture = both[Kind.REPORT], both[Kind.CAPTURE]
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert capture.BurnedInAnnotation == "YES"
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.10.999.1.1.1"
    assert capture.file_meta.TransferSyntaxUID == pydicom.uid.JPEGLSLossless
    assert capture.pixel_array.dtype == np.uint8
    assert capture.pixel_array.shape[2] == 3


@pytest.mark.parametrize("probability", [0.001, 0.999])
@pytest.mark.parametrize("possible", [None, ("NORMAL",), ("PNEUMONIA",), ("NORMAL", "PNEUMONIA")])
def test_the_word_normal_is_never_written(
    probability: float, possible: tuple[str, ...] | None, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model.examine(child_file())

    def examine(*_: object, **__: object) -> Any:
        label = "PNEUMONIA" if probability > 0.5 else "NORMAL"
        fields: dict[str, Any] = {"label": label, "probability": probability, "prediction_set": possible}
        return dataclasses.replace(real, prediction=dataclasses.replace(real.prediction, **fields))

    monkeypatch.setattr(model, "examine", examine)
    result = made(child_file(), model)
    expected = Presence.PRESENT if probability > 0.5 else Presence.ABSENT
    label = "PNEUMONIA" if probability > 0.5 else "NORMAL"
    assert result.finding.presence is (expected if possible in (None, (label,)) else Presence.INDETERMINATE)
    for dataset in datasets(result).values():
        assert not [text for text in texts(dataset) if "normal" in text.lower()]
    assert "normal" not in " ".join((result.finding.headline, *result.finding.remarks)).lower()


@pytest.mark.parametrize(("probability", "written"), [(1.0, 99.9), (0.0, 0.1), (0.25, 25.0)])
def test_nothing_is_written_as_certain(probability: float, written: float, model: Model) -> None:
    prediction = dataclasses.replace(model.predict(child_file()), probability=probability)
    assert describe(prediction, model.contract).certainty == written


def test_notes_reach_the_record(model: Model) -> None:
    prediction = model.predict(child_file())
    noted = dataclasses.replace(prediction, notes=("lungs cut off at the top",))
    assert "Note: lungs cut off at the top." in describe(noted, model.contract).remarks


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PatientAge": "034Y"}, "population"),
        ({"PatientAge": "006M"}, "population"),
        ({"PatientAge": None, "PatientBirthDate": None}, "age not stated"),
        ({"ViewPosition": "LL"}, "view LL"),
        ({"BodyPartExamined": "KNEE"}, "body part KNEE"),
        ({"Manufacturer": "Pneumoscope"}, "this gateway itself"),
        ({"Modality": "MR"}, "modality MR"),
        ({"NumberOfFrames": 2, "PixelData": b"\0" * 262144}, "2 frames"),
    ],
)
def test_what_is_not_judged_is_recorded_with_its_reason(attributes: dict[str, Any], reason: str, model: Model) -> None:
    result = made(child_file(**attributes), model)
    assert result.objects == ()
    assert result.finding.presence is Presence.NOT_EVALUATED
    assert any(reason in each for each in result.reasons), result.reasons


def test_without_ages_in_the_settings_the_contracts_population_counts(model: Model, monkeypatch: Any) -> None:
    known = dataclasses.replace(model.contract, population=Population("children", ((1, 5),)))
    monkeypatch.setattr(model, "contract", known)
    (reason,) = made(child_file(PatientAge="034Y"), model, guards=Guards()).reasons
    assert "judged are patients of 1 to 5 years" in reason
    assert made(child_file(), model, guards=Guards()).reasons == ()
    assert made(child_file(PatientAge="034Y"), model, guards=Guards(minimum_age=18)).reasons == ()


def test_an_image_derived_from_another_is_not_judged(model: Model) -> None:
    from pydicom.dataset import Dataset

    result = made(child_file(ImageType=["DERIVED", "PRIMARY"], SourceImageSequence=[Dataset()]), model)
    assert result.reasons == ("derived from another image",)


def test_a_refusal_may_be_reported_but_never_about_our_own_objects(model: Model, tmp_path: Path) -> None:
    result = made(child_file(ViewPosition="LL"), model, report_refusals=True)
    (report,) = result.objects
    file = tmp_path / "report.dcm"
    file.write_bytes(report.content)
    assert complaints(file) == []
    (group,) = read_tid1500(file, tmp_path)["Measurements"]
    assert not group.get("measurementItems")
    assert any(
        isinstance(each["conceptValue"], dict) and each["conceptValue"]["CodeValue"] == "373121007"
        for each in group["qualitativeEvaluations"]
    )
    capture = made(child_file(), model).objects[1]
    assert made(capture.content, model, report_refusals=True).objects == ()


def test_an_unread_image_is_not_evaluated(model: Model) -> None:
    prediction = Prediction("x", None, Status.ERROR, 0.5, "balanced", model.info, reasons=("x: cut short",))
    assert describe(prediction, model.contract).remarks == ("Not evaluated: cut short.",)
