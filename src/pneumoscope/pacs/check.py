"""``pacs check``: tries the set-up part by part and says in words what is wrong with it."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from pneumoscope.datasets.phantom import chest_phantom
from pneumoscope.errors import PneumoscopeError
from pneumoscope.pacs.connections import DicomConnection, open_client
from pneumoscope.pacs.gateway import running
from pneumoscope.pacs.http import open_session
from pneumoscope.pacs.jobs import Job, State
from pneumoscope.pacs.marking import SOP_CLASSES
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import ARCHIVE_PASSWORD, WATCH_PASSWORD, ArchiveKind, Settings, WatchKind
from pneumoscope.pacs.spool import Spool

SAMPLE_NAME: Final = "PNEUMOSCOPE^CHECK"
_PATIENCE: Final = 180.0


@dataclass(frozen=True)
class Check:
    """One part of the set-up.

    Attributes:
        part: in a few words.
        passed: whether it works.
        words: what was found, and what to do where it does not work.
    """

    part: str
    passed: bool
    words: str


def check(settings: Settings, *, watch: bool = False, deliver: bool = False) -> Iterator[Check]:
    """Try a set-up.

    Args:
        settings: of the gateway, which must not run meanwhile.
        watch: also try the server that ``pacs watch`` follows.
        deliver: send the sample's result to the archive: a study of the patient ``PNEUMOSCOPE^CHECK`` appears there.
    """
    yield _tried("model", lambda: _model(settings))
    yield _tried("spool", lambda: _spool(settings))
    if settings.archive.kind is ArchiveKind.DICOMWEB:
        yield _tried("archive", lambda: _dicomweb_archive(settings))
    else:
        yield _tried("archive", lambda: _dicom_archive(settings))
    if watch:
        yield _tried("watched server", lambda: _watched(settings))
    yield _tried("whole path", lambda: _path(settings, deliver))


class _FailedError(PneumoscopeError):
    """What a check found wrong."""


def _tried(part: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(part, True, attempt())
    except PneumoscopeError as error:
        return Check(part, False, str(error))
    except OSError as error:  # those of requests too
        return Check(part, False, f"{type(error).__name__}: {error}")


def _model(settings: Settings) -> str:
    from pneumoscope.model.classifier import load_model

    model = load_model(settings.judging.model)
    name, point = model.contract.operating_point(settings.judging.operating_point)
    found = f"{model.info.name} {model.info.version}, operating point {name} (threshold {100 * point.threshold:.1f} %)"
    ages = (settings.population.minimum_age, settings.population.maximum_age)
    if model.contract.population is None and ages == (None, None):
        found += "; neither model nor [population] names ages: patients of any age are judged"
    return found


def _spool(settings: Settings) -> str:
    spool = Spool(settings.spool)
    probe = spool.keep_result("check", b"\0")
    spool.remove(probe)
    free, least = spool.free_megabytes(), settings.receive.minimum_free_megabytes
    if free < least:
        raise _FailedError(
            f"{settings.spool}: {free:.0f} MB left, below minimum_free_megabytes ({least}): nothing is taken"
        )
    return f"{settings.spool}: writable, {free / 1000:.1f} GB left"


def _dicom_archive(settings: Settings) -> str:
    archive = settings.archive
    where = f"{archive.ae_title} at {archive.host}:{archive.port}"
    connection = DicomConnection(archive, settings.receive.ae_title)
    try:
        if not connection.echo():
            raise _FailedError(
                f"{where}: accepts the association but not C-ECHO; allow it for {settings.receive.ae_title}"
            )
        for kind, sop_class in SOP_CLASSES.items():
            if not connection.takes(sop_class):
                raise _FailedError(
                    f"{where}: does not take the {kind} ({sop_class.name}) from {settings.receive.ae_title}; "
                    "allow storage for this AE title, and JPEG-LS lossless for secondary captures"
                )
        if archive.commitment and not connection.takes("1.2.840.10008.1.20.1"):
            hint = "allow it, or set archive.commitment = false"
            raise _FailedError(f"{where}: offers no storage commitment; {hint}")
    finally:
        connection.close()
    return f"{where}: answers, takes reports and captures" + (
        ", offers storage commitment" if archive.commitment else ""
    )


def _dicomweb_archive(settings: Settings) -> str:
    archive = settings.archive
    _search(archive.url, archive.user, archive.password, archive.timeout_seconds, ARCHIVE_PASSWORD)
    return f"{archive.url}: answers QIDO-RS"


def _watched(settings: Settings) -> str:
    watch = settings.watch
    if watch.kind is WatchKind.DICOMWEB:
        _search(watch.url, watch.user, watch.password, watch.timeout_seconds, WATCH_PASSWORD)
        return f"{watch.url}: answers QIDO-RS"
    session = open_session(watch.user, watch.password, watch.timeout_seconds)
    answer = session.get(f"{watch.url.rstrip('/')}/changes", params={"limit": 1})
    if answer.status_code in (401, 403):
        raise _FailedError(f"{watch.url}: wants another user or password; set watch.user and {WATCH_PASSWORD}")
    if not answer.ok or "Last" not in answer.json():
        raise _FailedError(f"{watch.url}: answers {answer.status_code} to /changes; is it Orthanc's REST root?")
    return f"{watch.url}: Orthanc, {answer.json()['Last']} changes so far"


def _search(url: str, user: str, password: str, timeout: float, variable: str) -> None:
    import requests

    try:
        open_client(url, user, password, timeout).search_for_studies(limit=1)
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        if code in (401, 403):
            raise _FailedError(f"{url}: wants another user or password; set user and {variable}") from error
        raise _FailedError(f"{url}: answers {code} to a search for studies; is it the root of DICOMweb?") from error


def _path(settings: Settings, deliver: bool) -> str:
    """Send a drawn chest to a gateway on the configured port, with a spool of its own, and wait for its results."""
    with tempfile.TemporaryDirectory(prefix="pneumoscope-check-") as folder:
        trial = dataclasses.replace(
            settings,
            spool=Path(folder),
            audit_log=Path(folder) / "audit.jsonl",
            judging=dataclasses.replace(settings.judging, workers=1, report_refusals=True),
            status=dataclasses.replace(settings.status, port=0),
            receive=dataclasses.replace(settings.receive, minimum_free_megabytes=0),
        )
        if not deliver:
            # To nowhere: what is judged stays in the spool of the trial.
            trial = dataclasses.replace(
                trial, archive=dataclasses.replace(trial.archive, kind=ArchiveKind.DICOM, port=1)
            )
        with running(trial) as ports:
            _send_sample(trial, ports["dicom"])
            queue = Queue(trial.spool / "queue.sqlite")
            try:
                wanted = (State.JUDGED,) if not deliver else (State.COMMITTED,)
                if deliver and not settings.archive.commitment:
                    wanted = (State.SENT,)
                job = _wait(queue, wanted)
            finally:
                queue.close()
    found = f"the sample was received and judged ({job.presence})"
    return f"{found}, and the archive keeps its results" if deliver else f"{found}; nothing was sent (see --deliver)"


def _wait(queue: Queue, wanted: tuple[State, ...]) -> Job:
    end = time.monotonic() + _PATIENCE
    job = None
    while time.monotonic() < end:
        (job, *_) = queue.recent(1)
        if job.state in wanted:
            return job
        if job.state in (State.DEAD, State.REFUSED):
            break
        time.sleep(0.2)
    state, failure = ("lost", None) if job is None else (job.state.value, job.failure)
    hint = ""
    if state == State.SENT:
        hint = (
            "; the archive took the results and did not say that it keeps them: it must reach this machine at the port "
            "of [receive], under our AE title"
        )
    raise _FailedError(f"the sample got as far as '{state}'" + (f": {failure}" if failure else "") + hint)


def _send_sample(settings: Settings, port: int) -> None:
    from pynetdicom import AE

    from pneumoscope.pacs.tls import client_context

    entity = AE(ae_title=(settings.receive.calling_ae_titles or ("CHECK",))[0])
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    tls = (client_context(settings.receive.tls), settings.receive.host) if settings.receive.tls else None
    association = entity.associate(
        settings.receive.host,
        port,
        ae_title=settings.receive.ae_title,
        tls_args=tls,  # the first that may connect
    )
    if not association.is_established:
        raise _FailedError("the gateway does not take an association of its own; is another program on its port?")
    status = association.send_c_store(sample()).get("Status")
    association.release()
    if status != 0:
        raise _FailedError(f"the gateway answered the sample with status 0x{status or 0:04X}")


def sample() -> Dataset:
    """A drawn chest of a three-year-old as a CR image, of a study of its own each time."""
    pixels = chest_phantom((512, 512)).astype(np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "PatientName": SAMPLE_NAME,
        "PatientID": "PNEUMOSCOPE-CHECK",
        "PatientAge": "003Y",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyDate": time.strftime("%Y%m%d"),
        "StudyTime": time.strftime("%H%M%S"),
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "AP",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "PixelData": pixels.tobytes(),
    }.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    return dataset


def sample_file() -> bytes:
    """The same as a file."""
    dataset, buffer = sample(), BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
