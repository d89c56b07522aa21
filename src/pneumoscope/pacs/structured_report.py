"""The report that programs read: Comprehensive 3D SR by TID 1500, as IHE AI Results has it.

One measurement group for the whole image (TID 1501; TID 1410 would be a planar region): the finding with its presence,
the certainty in percent, the site, the algorithm (TID 4019), the source image, and the remarks as comments. The device
that observed (TID 1004), the algorithm and the item of Contributing Equipment that AIR asks for name the same things.
"""

from __future__ import annotations

from typing import Final

import highdicom as hd
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from pneumoscope.pacs.finding import Finding, Presence
from pneumoscope.pacs.marking import (
    MANUFACTURER,
    NOTICE,
    SERIES_DESCRIPTIONS,
    SERIES_NUMBERS,
    Kind,
    Origin,
    device_uid,
    software_version,
)

PNEUMONIA: Final = Code("233604007", "SCT", "Pneumonia")
LUNG: Final = Code("39607008", "SCT", "Lung")
PLAIN_CHEST: Final = Code("399208008", "SCT", "Plain chest X-ray")
PRESENCE: Final = Code("705057003", "SCT", "Presence")
CERTAINTY: Final = Code("111012", "DCM", "Certainty of Finding")
COMMENT: Final = Code("121106", "DCM", "Comment")
VALUES: Final = {
    Presence.PRESENT: Code("52101004", "SCT", "Present"),
    Presence.ABSENT: Code("272519000", "SCT", "Absent"),
    Presence.INDETERMINATE: Code("82334004", "SCT", "Indeterminate"),
    Presence.NOT_EVALUATED: Code("373121007", "SCT", "Not Evaluated"),
}


def make_report(identity: Dataset, finding: Finding, origin: Origin) -> Dataset:
    """Write a finding as a structured report.

    Args:
        identity: from :func:`pneumoscope.pacs.identity.normalise`.
        finding: what to say.
        origin: where UIDs and times come from.

    Returns:
        The report: unverified, preliminary, in the patient's study and a series of its own.
    """
    return sr.Comprehensive3DSR(
        evidence=[identity],
        content=_content(identity, finding, origin)[0],
        series_instance_uid=origin.uid(f"series|{Kind.REPORT}"),
        series_number=SERIES_NUMBERS[Kind.REPORT],
        sop_instance_uid=origin.uid(Kind.REPORT),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=origin.model.name,
        software_versions=software_version(),
        device_serial_number=origin.model.sha256[:16],
        series_description=SERIES_DESCRIPTIONS[Kind.REPORT],
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_date=origin.made.date(),
        content_time=origin.made.time(),
        contributing_equipment=[equipment(origin)],
    )


def equipment(origin: Origin) -> hd.ContributingEquipment:
    """What IHE AI Results (6.5.3.1) wants to be told of the program that made a result."""
    item = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=origin.model.name,
        software_versions=[software_version(), f"model {origin.model.version}"],
        device_serial_number=origin.model.sha256[:16],
        contribution_datetime=origin.made,
        contribution_description=NOTICE,
    )
    item.DeviceUID = device_uid(origin.model)
    return item


def _content(identity: Dataset, finding: Finding, origin: Origin) -> sr.MeasurementReport:
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(origin.model),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=origin.model.name,
            serial_number=origin.model.sha256[:16],
        ),
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=PLAIN_CHEST,
        imaging_measurements=[_group(identity, finding, origin)],
        referenced_images=[_library_entry(identity)],
    )


def _group(identity: Dataset, finding: Finding, origin: Origin) -> sr.MeasurementsAndQualitativeEvaluations:
    certainty = []
    if finding.certainty is not None:
        certainty = [sr.Measurement(name=CERTAINTY, value=round(finding.certainty, 1), unit=codes.UCUM.Percent)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=origin.uid("tracking"), identifier="Pneumonia, whole image"),
        finding_type=PNEUMONIA,
        finding_sites=[sr.FindingSite(anatomic_location=LUNG)],
        algorithm_id=sr.AlgorithmIdentification(
            name=origin.model.name,
            version=origin.model.version,
            manufacturer=MANUFACTURER,
            parameters=[f"operating point {origin.operating_point}", f"model file SHA-256 {origin.model.sha256}"],
        ),
        measurements=certainty,
        qualitative_evaluations=[sr.QualitativeEvaluation(name=PRESENCE, value=VALUES[finding.presence])],
        source_images=[
            sr.SourceImageForMeasurementGroup(
                referenced_sop_class_uid=identity.SOPClassUID, referenced_sop_instance_uid=identity.SOPInstanceUID
            )
        ],
    )
    for text in (NOTICE, f"{finding.headline}.", *finding.remarks):
        group[0].ContentSequence.append(
            sr.TextContentItem(name=COMMENT, value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        )
    return group


def _library_entry(identity: Dataset) -> Dataset:
    """The source image for the image library, without the pixel spacing that projection images rarely give rightly."""
    entry = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns"):
        setattr(entry, keyword, identity[keyword].value)
    entry.Modality = ""
    return entry
