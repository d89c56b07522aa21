"""Headers that devices really write come out valid; what ties a result to its image must be there."""

from __future__ import annotations

import io
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from pneumoscope.errors import RefusedInputError, UnreadableInputError
from pneumoscope.pacs.identity import age_in_years, normalise, read_header
from support.dicom_tools import child_file, child_radiograph

# pydicom warns where a test writes what devices should not.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")


def identity_of(**attributes: Any) -> Dataset:
    return normalise(read_header(child_file(**attributes)))


def rewritten(identity: Dataset) -> Dataset:
    buffer = io.BytesIO()
    identity.save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer, force=True)


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"])
def test_without_a_uid_there_is_no_identity(missing: str) -> None:
    header = child_radiograph()
    del header[missing]
    with pytest.raises(RefusedInputError, match=missing):
        normalise(header)


def test_a_uid_that_is_none_is_as_good_as_missing() -> None:
    header = child_radiograph()
    header.SOPInstanceUID = "not-a-uid"
    with pytest.raises(RefusedInputError, match="SOPInstanceUID"):
        normalise(header)


def test_what_the_header_lacks_is_written_empty() -> None:
    lacking = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    identity = rewritten(identity_of(**dict.fromkeys(lacking)))
    for keyword in (*lacking, "ReferringPhysicianName"):
        assert keyword in identity
        assert not identity[keyword].value


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 100", "Buc^Jérôme"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_of_any_character_set_become_utf_8(charset: object, name: str) -> None:
    identity = rewritten(identity_of(SpecificCharacterSet=charset, PatientName=name))
    assert identity.SpecificCharacterSet == "ISO_IR 192"
    assert str(identity.PatientName) == name


def test_text_that_is_not_in_the_declared_character_set_is_never_made_up() -> None:
    content = child_file(SpecificCharacterSet="ISO_IR 192", PatientName="XXXX^Chest")
    identity = rewritten(normalise(read_header(content.replace(b"XXXX^", b"\xff\xfe\x80\x81^"))))
    assert str(identity.PatientName) == ""


def test_an_unknown_character_set_does_not_stop_a_plain_name() -> None:
    content = child_file(SpecificCharacterSet="ISO_IR 100").replace(b"ISO_IR 100", b"ISO_IR 999")
    assert str(normalise(read_header(content)).PatientName) == "Phantom^Chest"


@pytest.mark.parametrize(
    ("keyword", "stored"),
    [
        ("PatientSex", b"X"),
        ("PatientBirthDate", b"00000000"),
        ("PatientBirthDate", b"2020.1.5"),
        ("StudyDate", b"20230231"),
        ("StudyTime", b"996000"),
        ("PatientAge", b"THREE"),
        ("StudyID", b"longer than sixteen characters"),
        ("PatientID", b"two\\values\x07" + b"x" * 60),
    ],
)
def test_what_is_invalid_becomes_empty(keyword: str, stored: bytes) -> None:
    header = child_radiograph()
    element = header[keyword]
    header[keyword] = pydicom.dataelem.RawDataElement(
        element.tag, element.VR, len(stored), stored, 0, is_implicit_VR=False, is_little_endian=True
    )
    value = normalise(header).get(keyword, "")
    assert value in ("", "two")


def test_age_is_the_stated_one_or_that_of_the_dates() -> None:
    assert age_in_years(identity_of(PatientAge="018M")) == 1.5
    assert age_in_years(identity_of(PatientAge=None)) == pytest.approx(3.12, abs=0.01)
    assert age_in_years(identity_of(PatientAge=None, PatientBirthDate=None)) is None
    assert age_in_years(identity_of(PatientAge=None, PatientBirthDate="20240101")) is None


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a JPEG" * 9, b"\0" * 132 + b"nonsense"])
def test_what_is_no_dicom_file_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises((UnreadableInputError, RefusedInputError)):
        normalise(read_header(content))
