"""Connections to the archive: how objects get there, and how it is asked whether it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from pneumoscope.errors import GatewayError
from pneumoscope.pacs.jobs import Outgoing
from pneumoscope.pacs.marking import SOP_CLASSES, Kind
from pneumoscope.pacs.settings import Archive, ArchiveKind, Receive

ASSOCIATION_ATTEMPT: Final = 10.0
"""Seconds until an archive that does not answer counts as away."""


class RefusedByArchiveError(Exception):
    """The archive took the object and said no: another attempt may end the same way."""


@dataclass(frozen=True)
class Answer:
    """Of the archive to "do you keep these?".

    Attributes:
        kept: SOP Instance UIDs that it keeps.
        lost: those that it does not have.
    """

    kept: tuple[str, ...]
    lost: tuple[str, ...]


class Connection(Protocol):
    """An open way to the archive."""

    def send(self, result: Outgoing, file: Path) -> None:
        """Send one object.

        Raises:
            GatewayError: the archive cannot be reached, or has no room now.
            RefusedByArchiveError: it does not want this object.
        """
        ...

    def ask(self, transaction_uid: str, objects: Sequence[Outgoing], studies: Sequence[str]) -> Answer | None:
        """Ask whether objects are kept.

        Args:
            transaction_uid: names the question.
            objects: that were sent.
            studies: Study Instance UID of each.

        Returns:
            The answer, or ``None`` where it comes later by another way.

        Raises:
            GatewayError: the archive cannot be asked now.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


def connect(archive: Archive, own: Receive) -> Connection:
    """Open a way to the archive.

    Args:
        archive: where to.
        own: whose AE title calls.

    Raises:
        GatewayError: it cannot be reached, or does not take what we send.
    """
    if archive.kind is ArchiveKind.DICOMWEB:
        return DicomWebConnection(archive)
    return DicomConnection(archive, own.ae_title)


class DicomConnection:
    """An association: C-STORE, and N-ACTION for storage commitment (PS3.4, annex J).

    Args:
        archive: where to.
        ae_title: calling.

    Raises:
        GatewayError: no association, or the archive takes neither reports nor captures.
    """

    def __init__(self, archive: Archive, ae_title: str) -> None:
        from pynetdicom import AE, _config, build_role
        from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

        from pneumoscope.pacs.tls import client_context

        # A file goes as it lies on disk: decoded and encoded again, JPEG-LS gets a length that DCMTK aborts at.
        _config.STORE_SEND_CHUNKED_DATASET = True
        self._commitment_class = StorageCommitmentPushModel
        self._where = f"archive {archive.ae_title} at {archive.host}:{archive.port}"
        entity = AE(ae_title=ae_title)
        entity.connection_timeout = entity.acse_timeout = min(ASSOCIATION_ATTEMPT, archive.timeout_seconds)
        entity.dimse_timeout = entity.network_timeout = archive.timeout_seconds
        entity.add_requested_context(Verification)
        entity.add_requested_context(SOP_CLASSES[Kind.REPORT], ExplicitVRLittleEndian)
        entity.add_requested_context(SOP_CLASSES[Kind.CAPTURE], JPEGLSLossless)
        roles = []
        if archive.commitment:
            entity.add_requested_context(StorageCommitmentPushModel)
            roles = [build_role(StorageCommitmentPushModel, scu_role=True, scp_role=True)]
        tls = (client_context(archive.tls), archive.host) if archive.tls else None
        self._association = entity.associate(
            archive.host, archive.port, ae_title=archive.ae_title, ext_neg=roles, tls_args=tls
        )
        if not self._association.is_established:
            why = "rejected us: check both AE titles" if self._association.is_rejected else "cannot be reached"
            raise GatewayError(f"{self._where}: {why}")

    def echo(self) -> bool:
        """Whether the archive answers a C-ECHO."""
        return bool(self._association.send_c_echo().get("Status", 0xFFFF) == 0)

    def takes(self, sop_class: str) -> bool:
        """Whether the archive agreed to take objects of a class as we write them."""
        return any(context.abstract_syntax == sop_class for context in self._association.accepted_contexts)

    def send(self, result: Outgoing, file: Path) -> None:
        """See :class:`Connection`."""
        if not self._association.is_established:
            raise GatewayError(f"{self._where}: association ended")
        if not self.takes(result.sop_class):
            raise RefusedByArchiveError(f"{self._where}: does not take objects of class {result.sop_class}")
        try:
            status = self._association.send_c_store(file).get("Status")
        except (OSError, RuntimeError, ValueError, AttributeError) as error:
            raise GatewayError(f"{self._where}: {type(error).__name__} while sending") from error
        if status is None:
            raise GatewayError(f"{self._where}: no answer to C-STORE")
        if status & 0xFF00 == 0xA700:
            raise GatewayError(f"{self._where}: out of resources (0x{status:04X})")
        if status != 0 and status & 0xF000 != 0xB000:
            raise RefusedByArchiveError(f"{self._where}: refused by C-STORE status 0x{status:04X}")

    def ask(self, transaction_uid: str, objects: Sequence[Outgoing], studies: Sequence[str]) -> Answer | None:  # noqa: ARG002
        """See :class:`Connection`; the answer comes as N-EVENT-REPORT to the receiver."""
        from pynetdicom.sop_class import StorageCommitmentPushModelInstance

        if not self.takes(self._commitment_class):
            raise GatewayError(f"{self._where}: does not offer storage commitment; set archive.commitment = false")
        request = Dataset()
        request.TransactionUID = transaction_uid
        request.ReferencedSOPSequence = [_reference(each) for each in objects]
        try:
            status, _ = self._association.send_n_action(
                request, 1, self._commitment_class, StorageCommitmentPushModelInstance
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise GatewayError(f"{self._where}: {type(error).__name__} while asking for commitment") from error
        if status.get("Status") != 0:
            raise GatewayError(f"{self._where}: storage commitment refused ({status.get('Status')})")
        return None

    def close(self) -> None:
        """Release the association."""
        if self._association.is_established:
            self._association.release()


class DicomWebConnection:
    """STOW-RS, and QIDO-RS to find again what was stored.

    Args:
        archive: where to.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._client = open_client(archive.url, archive.user, archive.password, archive.timeout_seconds)

    def send(self, result: Outgoing, file: Path) -> None:
        """See :class:`Connection`."""
        import requests
        from pydicom import dcmread

        try:
            answer = self._client.store_instances([dcmread(file)])
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else 0
            if code in (400, 409, 413, 415):
                raise RefusedByArchiveError(f"archive {self._archive.url}: STOW-RS answered {code}") from error
            raise GatewayError(f"archive {self._archive.url}: STOW-RS answered {code}") from error
        except (requests.RequestException, OSError) as error:
            raise GatewayError(f"archive {self._archive.url}: cannot be reached") from error
        stored = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence", [])}
        if result.sop_uid not in stored:
            raise RefusedByArchiveError(f"archive {self._archive.url}: STOW-RS did not store the object")

    def ask(self, transaction_uid: str, objects: Sequence[Outgoing], studies: Sequence[str]) -> Answer | None:  # noqa: ARG002
        """See :class:`Connection`."""
        kept: list[str] = []
        lost: list[str] = []
        for each, study in zip(objects, studies, strict=True):
            (kept if self._has(each.sop_uid, study) else lost).append(each.sop_uid)
        return Answer(tuple(kept), tuple(lost))

    def _has(self, sop_uid: str, study_uid: str) -> bool:
        import requests

        try:
            found = self._client.search_for_instances(study_uid, search_filters={"SOPInstanceUID": sop_uid})
        except (requests.RequestException, OSError) as error:
            raise GatewayError(f"archive {self._archive.url}: cannot be asked") from error
        return bool(found)

    def close(self) -> None:
        """Nothing stays open."""


def open_client(url: str, user: str, password: str, timeout: float) -> Any:
    """A DICOMweb client that never hangs for longer than ``timeout`` seconds and never waits for compression."""
    from dicomweb_client.api import DICOMwebClient
    from dicomweb_client.session_utils import create_session_from_user_pass

    from pneumoscope.pacs.http import with_timeout

    session = with_timeout(create_session_from_user_pass(user, password) if user else None, timeout)
    client = DICOMwebClient(url=url, session=session)
    client.set_http_retry_params(retry=False)  # the queue tries again, and knows when
    return client


def _reference(result: Outgoing) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = result.sop_class, result.sop_uid
    return item
