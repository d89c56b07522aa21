"""The picture that people see: radiograph, heatmap, operating point, remarks and notice, burnt into an RGB image."""

from __future__ import annotations

from typing import Final

import highdicom as hd
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from pneumoscope.drawing.panel import PanelText, labelled_overlay
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.model.prediction import ModelInfo
from pneumoscope.pacs.finding import Finding
from pneumoscope.pacs.marking import (
    MANUFACTURER,
    NOTICE,
    SERIES_DESCRIPTIONS,
    SERIES_NUMBERS,
    WARNING,
    Kind,
    Origin,
    software_version,
)
from pneumoscope.pacs.structured_report import equipment

SIDE: Final = 640
"""Pixels of the radiograph's field."""


def draw(
    radiograph: Radiograph, heatmap: NDArray[np.float32] | None, finding: Finding, model: ModelInfo
) -> NDArray[np.uint8]:
    """Draw what the capture shows. No name, number or date of the patient is among it.

    Args:
        radiograph: as it was judged.
        heatmap: ``float32 [h, w]``, 0 to 1; ``None`` draws the plain radiograph.
        finding: what to write beside it.
        model: that judged.

    Returns:
        RGB, ``uint8 [height, width, 3]``.
    """
    certainty = () if finding.certainty is None else (f"Model output for pneumonia: {finding.certainty:.1f} %.",)
    text = PanelText(
        title=f"{WARNING} - {MANUFACTURER} {software_version()}",
        label=finding.headline,
        reasons=(
            *certainty,
            *finding.remarks,
            f"Model {model.name} {model.version}. The heatmap shows what moved its output, not where a disease is.",
        ),
    )
    return labelled_overlay(radiograph.pixels, heatmap, text, side=SIDE)


def make_capture(identity: Dataset, picture: NDArray[np.uint8], origin: Origin) -> Dataset:
    """Write a picture as a secondary capture, JPEG-LS lossless.

    Args:
        identity: from :func:`pneumoscope.pacs.identity.normalise`.
        picture: RGB, ``uint8 [H, W, 3]``, from :func:`draw`.
        origin: where UIDs and times come from.
    """
    capture = SCImage(
        pixel_array=picture,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        study_instance_uid=identity.StudyInstanceUID,
        series_instance_uid=origin.uid(f"series|{Kind.CAPTURE}"),
        series_number=SERIES_NUMBERS[Kind.CAPTURE],
        sop_instance_uid=origin.uid(Kind.CAPTURE),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=origin.model.name,
        software_versions=software_version(),
        device_serial_number=origin.model.sha256[:16],
        series_description=SERIES_DESCRIPTIONS[Kind.CAPTURE],
        patient_id=identity.PatientID,
        patient_name=identity.PatientName,
        patient_birth_date=identity.PatientBirthDate,
        patient_sex=identity.PatientSex,
        accession_number=identity.AccessionNumber,
        study_id=identity.StudyID,
        study_date=identity.StudyDate or None,
        study_time=identity.StudyTime or None,
        referring_physician_name=identity.ReferringPhysicianName,
        patient_orientation=("L", "F"),  # asked for; a picture with text beside it has none, see below
        specific_character_set=identity.SpecificCharacterSet,
        transfer_syntax_uid=JPEGLSLossless,
        content_date=origin.made.date(),
        content_time=origin.made.time(),
        contributing_equipment=[equipment(origin)],
    )
    capture.PatientOrientation = None
    capture.copy_patient_and_study_information(identity)
    capture.ConversionType = "WSD"
    capture.BodyPartExamined = "CHEST"
    capture.BurnedInAnnotation = "YES"
    capture.LossyImageCompression = identity.LossyImageCompression
    capture.DerivationDescription = NOTICE
    capture.SourceImageSequence = [_reference(identity)]
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = capture.ContentDate, capture.ContentTime
    return capture


def _reference(identity: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = identity.SOPClassUID, identity.SOPInstanceUID
    purpose = hd.sr.CodedConcept("121322", "DCM", "Source image for image processing operation")
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
