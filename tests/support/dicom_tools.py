"""The validators that every object of the gateway must please, and radiographs to make objects of."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from support.phantom import chest_phantom, dicom_bytes, dicom_dataset

_BIN: Final = Path(sysconfig.get_path("scripts"))

# dciodvfy's tables are older than Device UID (0018,1002) in Contributing Equipment, which IHE AI Results asks for; the
# others say that a DICOMDIR could not be built of identity that the source does not have, and that a name has no comma
# or caret: it is the source's, and is not for us to change.
HARMLESS: Final = ("DeviceUID(0018,1002)", "needed to build DICOMDIR", "Retired Person Name form")


def complaints(file: Path) -> list[str]:
    """Errors and warnings of ``dciodvfy`` about a file, without those that are known to be harmless."""
    done = subprocess.run([_BIN / "dciodvfy", "-new", file], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any(name in lines for name in ("Comprehensive3DSR", "SCImage")), f"dciodvfy did not see what it is: {lines}"
    return [line for line in lines if line.startswith(("Error", "Warning")) and not any(h in line for h in HARMLESS)]


def read_tid1500(file: Path, scratch: Path) -> dict[str, Any]:
    """What ``tid1500reader``, an independent reader, finds in a report."""
    out = scratch / "tid1500.json"
    done = subprocess.run(
        [_BIN / "tid1500reader", "--inputDICOM", file, "--outputMetadata", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def child_radiograph(number: int = 0, *, side: int = 256, **attributes: Any) -> Dataset:
    """A drawn chest of a child of three years, as a CR data set; each number gives other pixels and UIDs."""
    pixels = chest_phantom((side, side)).astype(np.uint16) * 16
    pixels[:4, :4] = number
    values = {
        "PatientAge": "003Y",
        "PatientSex": "F",
        "PatientBirthDate": "20200115",
        "StudyDate": "20230301",
        "StudyTime": "101500",
        "StudyID": "1",
        "AccessionNumber": f"A{number}",
        "ViewPosition": "AP",
        "BodyPartExamined": "CHEST",
        "SOPInstanceUID": f"1.2.826.0.1.3680043.10.999.{number + 1}.1.1",
        "SeriesInstanceUID": f"1.2.826.0.1.3680043.10.999.{number + 1}.1",
        "StudyInstanceUID": f"1.2.826.0.1.3680043.10.999.{number + 1}",
        "PatientID": f"CHILD{number}",
        "BitsStored": 12,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
    }
    return dicom_dataset(pixels, **(values | attributes))


def child_file(number: int = 0, syntax: str | None = None, **attributes: Any) -> bytes:
    """The same as a file."""
    return dicom_bytes(child_radiograph(number, **attributes), syntax)


def texts(dataset: Dataset) -> Iterator[str]:
    """Every text in a data set, at any depth."""
    for element in dataset.iterall():
        if element.VR in ("CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            yield str(element.value)
