"""The storage SCP: takes radiographs from other machines, and answers 0x0000 only when they are on disk and queued."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from pneumoscope.errors import GatewayError, InputError, RefusedInputError, UsageError
from pneumoscope.pacs.audit import AuditTrail, Event, Outcome
from pneumoscope.pacs.identity import normalise, read_header
from pneumoscope.pacs.jobs import Added, Arrival
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import Receive
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.steps import Step, reached
from pneumoscope.pacs.tls import server_context

# Status codes of C-STORE (PS3.4, B.2.3) and what they say here.
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
"""Disk, queue or rate: the sender should try again later."""
DOES_NOT_MATCH: Final = 0xA900
"""The data set is not what the command says, or lacks a UID."""
CANNOT_UNDERSTAND: Final = 0xC000
"""Damaged."""
TOO_LARGE: Final = 0xC001
CONFLICT: Final = 0xC002
"""Another image of the same UID was taken before."""

IMAGE_CLASSES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
TRANSFER_SYNTAXES: Final = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit),
    *(JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
    *(JPEG2000Lossless, JPEG2000),
)
assert DeflatedExplicitVRLittleEndian not in TRANSFER_SYNTAXES  # unpacks to any size before a tag can be checked

MAXIMUM_PDU: Final = 1 << 18
_PDU_SLACK: Final = 1 << 16
"""A-ASSOCIATE-RQ and headers may exceed what was negotiated for data by a little."""

CommitmentAnswer = Callable[[str, list[str], list[str]], None]
"""Told of a transaction UID, the UIDs kept and the UIDs lost."""


@dataclass(frozen=True)
class _Refusal(Exception):  # noqa: N818 - a reply to the sender, not an error of ours
    status: int
    comment: str


class Receiver:
    """The gateway's application entity as others see it.

    Args:
        settings: of the SCP.
        spool: where images go.
        queue: for the receiver alone; its threads take turns.
        audit: trail.
        commitment: told of the archive's answers, by one thread at a time.
    """

    def __init__(
        self,
        settings: Receive,
        spool: Spool,
        queue: Queue,
        audit: AuditTrail,
        commitment: CommitmentAnswer,
    ) -> None:
        self._settings, self._spool, self._audit, self._commitment = settings, spool, audit, commitment
        self._queue, self._turn = queue, threading.Lock()
        self._rates: defaultdict[str, _Rate] = defaultdict(lambda: _Rate(settings.images_per_minute))
        self._server: Any = None
        # Its loggers quote what peers send: identity, in the end.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

    def start(self) -> int:
        """Listen, in threads. Returns the port.

        Raises:
            UsageError: the address cannot be listened on, or a certificate cannot be used.
        """
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(settings.calling_ae_titles)
        entity.maximum_associations = settings.maximum_associations
        entity.maximum_pdu_size = MAXIMUM_PDU
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = settings.idle_seconds
        entity.add_supported_context(Verification)
        for image_class in IMAGE_CLASSES:
            entity.add_supported_context(image_class, list(TRANSFER_SYNTAXES))
        # The archive opens an association in the provider's role to tell what it keeps.
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_EVENT_REPORT, self._event_report),
            (evt.EVT_CONN_OPEN, self._limit_reading),
            (evt.EVT_PDU_RECV, self._limit_message),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_ESTABLISHED, self._established),
        ]
        context = server_context(settings.tls) if settings.tls else None
        try:
            self._server = entity.start_server(
                (settings.host, settings.port), block=False, ssl_context=context, evt_handlers=handlers
            )
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UsageError(f"receive: cannot listen on {where} ({error.strerror or error})") from error
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening; associations in progress are aborted, and their senders try again."""
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: Any) -> Dataset | int:
        source = str(event.assoc.requestor.ae_title)
        uid = str(event.request.AffectedSOPInstanceUID or "")
        try:
            added, arrival = self._take(event, source)
        except _Refusal as refusal:
            self._audit.write(
                Event.INSTANCES_TRANSFERRED,
                "refused",
                Outcome.MINOR_FAILURE,
                instance=uid,
                source=source,
                status=f"0x{refusal.status:04X}",
                reason=refusal.comment,
            )
            return _reply(refusal.status, refusal.comment)
        self._audit.write(
            Event.INSTANCES_TRANSFERRED, "received", instance=uid, study=arrival.study_uid, source=source, as_=added
        )
        return SUCCESS

    def _take(self, event: Any, source: str) -> tuple[Added, Arrival]:
        """Keep one image; whatever fails is a refusal, so that the sender keeps it."""
        if not self._rates[source].take():
            raise _Refusal(OUT_OF_RESOURCES, "too many images a minute; try again later")
        if self._spool.free_megabytes() < self._settings.minimum_free_megabytes:
            raise _Refusal(OUT_OF_RESOURCES, "disk runs low")
        content = event.encoded_dataset(include_meta=True)
        data_set = event.encoded_dataset(include_meta=False)
        try:
            identity = normalise(read_header(content))
        except RefusedInputError:
            raise _Refusal(DOES_NOT_MATCH, "study, series or instance UID missing") from None
        except InputError:
            raise _Refusal(CANNOT_UNDERSTAND, "damaged data set") from None
        named = (UID(event.request.AffectedSOPClassUID), UID(event.request.AffectedSOPInstanceUID))
        if (identity.SOPClassUID, identity.SOPInstanceUID) != named:
            raise _Refusal(DOES_NOT_MATCH, "command and data set name different objects")
        sha256 = hashlib.sha256(data_set).hexdigest()
        try:
            file = self._spool.keep_image(identity.SOPInstanceUID, sha256, content)
            reached(Step.IMAGE_ON_DISK)
            arrival = Arrival(
                sop_uid=str(identity.SOPInstanceUID),
                content_sha256=sha256,
                study_uid=str(identity.StudyInstanceUID),
                accession=str(identity.AccessionNumber),
                source=source,
                file=file,
            )
            with self._turn:
                (added,) = self._queue.add([arrival])
                if added is not Added.NEW and not self._queue.holds(arrival):
                    self._spool.remove(file)  # of another content, or of a job whose files were purged
        except (OSError, GatewayError):
            raise _Refusal(OUT_OF_RESOURCES, "disk or queue cannot be written") from None
        reached(Step.ROW_ON_DISK)
        if added is Added.CONFLICT:
            raise _Refusal(CONFLICT, "another image of this UID was taken before")
        return added, arrival

    def _event_report(self, event: Any) -> tuple[int, Dataset | None]:
        """The archive's answer to a storage commitment (PS3.4, J.3.3)."""
        try:
            answer = event.event_information
            kept = [str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence", [])]
            lost = [str(item.ReferencedSOPInstanceUID) for item in answer.get("FailedSOPSequence", [])]
            with self._turn:
                self._commitment(str(answer.TransactionUID), kept, lost)
        except Exception:  # noqa: BLE001 - whatever a peer sends must not end its association without an answer
            return 0x0110, None
        return SUCCESS, None

    def _limit_reading(self, event: Any) -> None:
        """Let no peer make us read a unit longer than was negotiated: its length comes first, up to 4 GB."""
        socket = event.assoc.dul.socket
        read = socket.recv

        def limited(length: int) -> bytes:
            if length > MAXIMUM_PDU + _PDU_SLACK:
                raise OSError("longer than negotiated")
            content: bytes = read(length)
            return content

        socket.recv = limited

    def _limit_message(self, event: Any) -> None:
        """Abort an association whose message grows beyond the limit; count each message from its command on."""
        items = getattr(event.pdu, "presentation_data_value_items", None)
        if items is None:
            return
        association = event.assoc
        for item in items:
            content = item.presentation_data_value
            is_command = bool(content[0] & 1)
            grown = 0 if is_command else getattr(association, "message_bytes", 0) + len(content)
            association.message_bytes = grown
            if grown > self._settings.maximum_megabytes * 1e6:
                self._alert("image larger than the limit", event)
                association.abort()
                return

    def _established(self, event: Any) -> None:
        refused = [UID(context.abstract_syntax) for context in event.assoc.rejected_contexts]
        if refused:
            self._audit.write(
                Event.INSTANCES_TRANSFERRED,
                "classes not taken",
                Outcome.MINOR_FAILURE,
                source=str(event.assoc.requestor.ae_title),
                classes=sorted({each.name for each in refused})[:10],
            )

    def _rejected(self, event: Any) -> None:
        self._alert("association rejected", event)

    def _aborted(self, event: Any) -> None:
        self._audit.write(
            Event.INSTANCES_TRANSFERRED,
            "association aborted",
            Outcome.MINOR_FAILURE,
            source=str(event.assoc.requestor.ae_title),
        )

    def _alert(self, what: str, event: Any) -> None:
        requestor = event.assoc.requestor
        self._audit.write(
            Event.SECURITY_ALERT,
            what,
            Outcome.SERIOUS_FAILURE,
            source=str(requestor.ae_title),
            address=str(requestor.address),
        )


class _Rate:
    """A bucket that holds a minute's images and fills steadily."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute, self._left, self._seen = per_minute, float(per_minute), time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._per_minute, self._left + (now - self._seen) * self._per_minute / 60)
            self._seen = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _reply(status: int, comment: str) -> Dataset:
    reply = Dataset()
    reply.Status = status
    reply.ErrorComment = comment[:64]
    return reply
