"""Following a server for new images: Orthanc's list of changes, or QIDO-RS asked again and again.

How far a server was read is kept in the same transaction as the rows of the images, so an interruption reads a few
changes twice, and an image that is known already is nothing new.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from io import BytesIO
from typing import Any, Final

import requests
from pydicom.uid import SecondaryCaptureImageStorage

from pneumoscope.errors import GatewayError, InputError
from pneumoscope.pacs.audit import AuditTrail, Event, Outcome
from pneumoscope.pacs.connections import open_client
from pneumoscope.pacs.content import content_sha256
from pneumoscope.pacs.http import open_session
from pneumoscope.pacs.identity import normalise, read_header
from pneumoscope.pacs.jobs import Added, Arrival
from pneumoscope.pacs.marking import MANUFACTURER
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.receive import IMAGE_CLASSES
from pneumoscope.pacs.settings import Settings, WatchKind
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.steps import Step, reached

CHANGES_AT_A_TIME: Final = 32
STUDIES_AT_A_TIME: Final = 100


class Watcher(ABC):
    """Brings new images of one server into the queue.

    Args:
        settings: of the gateway.
        queue: of the calling thread.
        spool: where images go.
        audit: trail.
    """

    def __init__(self, settings: Settings, queue: Queue, spool: Spool, audit: AuditTrail) -> None:
        self._settings, self._watch = settings, settings.watch
        self._queue, self._spool, self._audit = queue, spool, audit

    @abstractmethod
    def step(self) -> bool:
        """Bring in what is new. Returns whether there may be more at once.

        Raises:
            GatewayError: the server cannot be read, or the disk runs low.
        """

    def run(self, stopping: Callable[[], bool]) -> None:
        """Follow the server until told to stop."""
        failures = 0
        while not stopping():
            try:
                wait = 0.0 if self.step() else self._watch.interval_seconds
                failures = 0
            except (GatewayError, OSError) as error:  # requests' errors are OSErrors
                failures += 1
                wait = self._settings.retry.delay(failures)
                why = str(error) if isinstance(error, GatewayError) else type(error).__name__
                self._audit.write(
                    Event.APPLICATION_ACTIVITY, "watching waits", Outcome.MINOR_FAILURE, why=why, seconds=wait
                )
            end = time.monotonic() + wait
            while time.monotonic() < end and not stopping():
                time.sleep(min(0.1, wait))

    def keep(self, content: bytes) -> Arrival | None:
        """Put one image on disk; ``None`` for what cannot be queued, with a line in the trail."""
        if len(content) > self._settings.receive.maximum_megabytes * 1e6:
            self._skip("larger than the limit")
            return None
        if self._spool.free_megabytes() < self._settings.receive.minimum_free_megabytes:
            raise GatewayError(f"spool {self._spool.folder}: disk runs low")
        try:
            identity = normalise(read_header(content))
        except InputError as error:
            self._skip(str(error))
            return None
        sha256 = content_sha256(content)
        file = self._spool.keep_image(identity.SOPInstanceUID, sha256, content)
        reached(Step.IMAGE_ON_DISK)
        return Arrival(
            sop_uid=str(identity.SOPInstanceUID),
            content_sha256=sha256,
            study_uid=str(identity.StudyInstanceUID),
            accession=str(identity.AccessionNumber),
            source=self._watch.url,
            file=file,
        )

    def queue(self, arrivals: Iterable[Arrival | None], note: tuple[str, str] | None = None) -> None:
        """Give rows to images on disk, and note how far the server was read."""
        kept = [arrival for arrival in arrivals if arrival is not None]
        for arrival, added in zip(kept, self._queue.add(kept, note), strict=True):
            if added is not Added.NEW and not self._queue.holds(arrival):
                self._spool.remove(arrival.file)
            outcome = Outcome.MINOR_FAILURE if added is Added.CONFLICT else Outcome.SUCCESS
            self._audit.write(
                Event.INSTANCES_TRANSFERRED,
                "fetched",
                outcome,
                instance=arrival.sop_uid,
                study=arrival.study_uid,
                source=arrival.source,
                as_=added,
            )
        reached(Step.ROW_ON_DISK)

    def _skip(self, why: str) -> None:
        self._audit.write(Event.INSTANCES_TRANSFERRED, "not taken", Outcome.MINOR_FAILURE, reason=why)


class OrthancWatcher(Watcher):
    """Follows Orthanc's ``/changes``."""

    def __init__(self, settings: Settings, queue: Queue, spool: Spool, audit: AuditTrail) -> None:
        super().__init__(settings, queue, spool, audit)
        watch = settings.watch
        self._session = open_session(watch.user, watch.password, watch.timeout_seconds)
        self._root, self._cursor = watch.url.rstrip("/"), f"changes of {watch.url}"
        self._pool = ThreadPoolExecutor(watch.fetchers, thread_name_prefix="fetch")

    def step(self) -> bool:
        """See :class:`Watcher`."""
        since = self._queue.note(self._cursor)
        if since is None:
            since = str(self._get("/changes", last="").json()["Last"]) if self._watch.from_now else "0"
        found = self._get("/changes", since=since, limit=CHANGES_AT_A_TIME).json()
        # An Orthanc that was set up anew counts from 1 again; waiting for its old number would be for ever.
        if int(found["Last"]) < int(since):
            self._queue.add([], (self._cursor, "0"))
            return True
        ids = [str(each["ID"]) for each in found["Changes"] if each["ChangeType"] == "NewInstance"]
        uids = self._pool.map(self._image_uid, ids)
        # What we made ourselves comes back as a change; it need not come back as a download.
        wanted = [each for each, uid in zip(ids, uids, strict=True) if uid and not self._queue.is_result(uid)]
        self.queue(self._pool.map(self._fetch, wanted), (self._cursor, str(found["Last"])))
        return not found["Done"]

    def _image_uid(self, instance: str) -> str | None:
        """SOP Instance UID of an image; ``None`` for other objects, and for those that were deleted meanwhile."""
        with suppress(_GoneError):
            sop_class = self._get(f"/instances/{instance}/metadata/SopClassUid").text
            if sop_class not in IMAGE_CLASSES or self._is_own_capture(instance, sop_class):
                return None
            return str(self._get(f"/instances/{instance}").json()["MainDicomTags"]["SOPInstanceUID"])
        return None

    def _is_own_capture(self, instance: str, sop_class: str) -> bool:
        """Captures of another spool too, such as those of `pacs check`."""
        if sop_class != SecondaryCaptureImageStorage:
            return False
        try:
            return self._get(f"/instances/{instance}/content/0008-0070").text.strip("\0 ") == MANUFACTURER
        except _GoneError:
            return False  # no manufacturer given

    def _fetch(self, instance: str) -> Arrival | None:
        with suppress(_GoneError):
            return self.keep(self._get(f"/instances/{instance}/file").content)
        return None

    def _get(self, path: str, **query: Any) -> requests.Response:
        answer = self._session.get(self._root + path, params=query)
        if answer.status_code == requests.codes.not_found:
            raise _GoneError(f"{self._root}{path}: not there")
        if not answer.ok:
            hint = "; check user and password" if answer.status_code in (401, 403) else ""
            raise GatewayError(f"{self._root}: answered {answer.status_code}{hint}")
        return answer


class _GoneError(GatewayError):
    """What was listed is not there any more."""


class DicomWebWatcher(Watcher):
    """Asks any DICOMweb server for studies of the last days, and fetches the images that are not known yet."""

    def __init__(self, settings: Settings, queue: Queue, spool: Spool, audit: AuditTrail) -> None:
        super().__init__(settings, queue, spool, audit)
        watch = settings.watch
        self._client = open_client(watch.url, watch.user, watch.password, watch.timeout_seconds)
        self._barred: set[str] = set()

    def step(self) -> bool:
        """See :class:`Watcher`."""
        for study in self._studies():
            for series in self._client.search_for_series(study):
                if _value(series, "00080060") in ("CR", "DX", "RG", "OT", "SC"):
                    self._take_series(study, _value(series, "0020000E"))
        return False

    def _studies(self) -> Iterator[str]:
        first = date.today() - timedelta(days=self._watch.days_back)
        filters = {"StudyDate": f"{first:%Y%m%d}-"} if self._watch.days_back else {}
        offset = 0
        while found := self._client.search_for_studies(
            limit=STUDIES_AT_A_TIME, offset=offset, search_filters=filters, fields=["StudyInstanceUID"]
        ):
            yield from (_value(each, "0020000D") for each in found)
            if len(found) < STUDIES_AT_A_TIME:
                return
            offset += len(found)

    def _take_series(self, study: str, series: str) -> None:
        for found in self._client.search_for_instances(study, series):
            uid = _value(found, "00080018")
            if _value(found, "00080016") not in IMAGE_CLASSES or uid in self._barred:
                continue
            if self._queue.known(uid) or self._queue.is_result(uid):
                continue
            buffer = BytesIO()
            # As it is stored there: another transfer syntax would make the server transcode.
            dataset = self._client.retrieve_instance(study, series, uid, media_types=(("application/dicom", "*"),))
            dataset.save_as(buffer, enforce_file_format=True)
            arrival = self.keep(buffer.getvalue())
            if arrival is None or arrival.sop_uid != uid:
                self._barred.add(uid)
            self.queue([arrival])


def _value(entry: dict[str, Any], tag: str) -> str:
    """First value of an attribute in DICOM JSON; empty where there is none."""
    values = entry.get(tag, {}).get("Value") or [""]
    return str(values[0])


def open_watcher(settings: Settings, queue: Queue, spool: Spool, audit: AuditTrail) -> Watcher:
    """The watcher that the settings name."""
    kind = DicomWebWatcher if settings.watch.kind is WatchKind.DICOMWEB else OrthancWatcher
    return kind(settings, queue, spool, audit)
