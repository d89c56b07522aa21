"""From one radiograph to the pair of objects that goes into the archive; no network, no queue.

The image is read once: :meth:`pneumoscope.model.classifier.Model.examine` gives pixels and prediction, the header is
parsed without pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from pneumoscope.imaging.quiet import quiet_warnings
from pneumoscope.model.classifier import Model
from pneumoscope.model.prediction import Prediction, Status
from pneumoscope.pacs.content import content_sha256
from pneumoscope.pacs.finding import Finding, describe, not_evaluated
from pneumoscope.pacs.guards import Guards
from pneumoscope.pacs.identity import normalise, read_header
from pneumoscope.pacs.marking import IMPLEMENTATION_CLASS_UID, Kind, Origin, software_version
from pneumoscope.pacs.secondary_capture import draw, make_capture
from pneumoscope.pacs.structured_report import make_report


@dataclass(frozen=True)
class ResultObject:
    """One file for the archive.

    Attributes:
        kind: report or capture.
        sop_class_uid: of the object.
        sop_instance_uid: of the object.
        content: the whole file, PS3.10.
    """

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    content: bytes


@dataclass(frozen=True)
class Result:
    """What became of one radiograph.

    Attributes:
        finding: in words and numbers.
        reasons: why nothing was evaluated; empty where something was.
        objects: for the archive; none where nothing was evaluated and that is not to be reported.
    """

    finding: Finding
    reasons: tuple[str, ...]
    objects: tuple[ResultObject, ...]


def make_objects(
    content: bytes,
    model: Model,
    *,
    made: datetime,
    guards: Guards,
    operating_point: str | None = None,
    report_refusals: bool = False,
    name: str = "input",
) -> Result:
    """Judge one DICOM file and write its objects.

    Args:
        content: the whole file.
        model: that judges.
        made: local time for every date and time in the objects.
        guards: what is judged at all.
        operating_point: name of a threshold; the model's default for ``None``.
        report_refusals: also write a report, "not evaluated", for an image that is not judged.
        name: what messages call the input.

    Raises:
        InputError: no DICOM file, or one without the UIDs that a result refers to: nothing can be written about it.
    """
    header = read_header(content, name)
    identity = normalise(header, name)
    chosen = model.contract.operating_point(operating_point)[0]
    origin = Origin(identity.SOPInstanceUID, content_sha256(content), model.info, chosen, made)
    barred, about_itself = guards.reasons(header, identity, model.contract.population)
    if barred:
        # Reports about reports would never end.
        return _refusal(identity, origin, barred, report=report_refusals and not about_itself)
    examined = model.examine(content, operating_point=chosen, name=name)
    if examined.prediction.status is not Status.OK or examined.radiograph is None:
        return _refusal(identity, origin, _plain_reasons(examined.prediction), report=report_refusals)
    finding = describe(examined.prediction, model.contract)
    picture = draw(examined.radiograph, examined.prediction.heatmap, finding, model.info)
    with quiet_warnings():  # about names of one component, which are as valid as they are common
        made_objects = (
            (Kind.REPORT, make_report(identity, finding, origin)),
            (Kind.CAPTURE, make_capture(identity, picture, origin)),
        )
        return Result(finding, (), tuple(_as_file(kind, dataset, origin) for kind, dataset in made_objects))


def _refusal(identity: Dataset, origin: Origin, reasons: tuple[str, ...], *, report: bool) -> Result:
    finding = not_evaluated(reasons)
    with quiet_warnings():
        objects = (_as_file(Kind.REPORT, make_report(identity, finding, origin), origin),) if report else ()
    return Result(finding, reasons, objects)


def _plain_reasons(prediction: Prediction) -> tuple[str, ...]:
    return tuple(reason.removeprefix(f"{prediction.path}: ") for reason in prediction.reasons)


def _as_file(kind: Kind, dataset: Dataset, origin: Origin) -> ResultObject:
    _fix_times(dataset, origin.made)
    meta = dataset.file_meta
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = f"PNEUMOSCOPE{software_version()}"[:16]
    if meta.TransferSyntaxUID.is_encapsulated:
        # With a defined length, DCMTK aborts the association.
        dataset["PixelData"].is_undefined_length = True
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return ResultObject(kind, dataset.SOPClassUID, dataset.SOPInstanceUID, buffer.getvalue())


def _fix_times(dataset: Dataset, made: datetime) -> None:
    """Set the times that highdicom takes from the clock, so that the same job always gives the same bytes."""
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = DA(made.date()), TM(made.time())
    for item in dataset.ContributingEquipmentSequence:
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = DT(made)
    for item in dataset.get("ContentSequence", []):
        if "ObservationDateTime" in item:
            item.ObservationDateTime = DT(made)
