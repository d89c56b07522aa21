"""The storage SCP: what it takes is on disk, what it refuses says why, and nobody gets in who is not listed."""

from __future__ import annotations

import dataclasses
import gc
import json
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    JPEG2000Lossless,
)
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from pneumoscope.errors import GatewayError, UsageError
from pneumoscope.pacs import receive
from pneumoscope.pacs.audit import AuditTrail
from pneumoscope.pacs.jobs import State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.receive import Receiver
from pneumoscope.pacs.settings import Receive
from pneumoscope.pacs.spool import Spool
from pneumoscope.pacs.tls import client_context
from support.certificates import make_authority, make_certificate
from support.dicom_tools import child_radiograph

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom"),
    # What strangers do ends the thread of their own association alone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Site:
    """A receiver on a free port, with its spool, queue and trail."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Receive(port=0, minimum_free_megabytes=1, idle_seconds=60, **settings)
        self.spool = Spool(folder / "spool")
        self.queue, self.received = Queue(self.spool.queue_file), Queue(self.spool.queue_file)
        self.trail = folder / "audit.jsonl"
        self.answers: list[tuple[str, list[str], list[str]]] = []
        self.receiver = Receiver(
            self.settings,
            self.spool,
            self.received,
            AuditTrail(self.spool.folder, self.trail),
            lambda *answer: self.answers.append(answer),
        )
        self.port = self.receiver.start()

    def associate(
        self, sop_class: str = ComputedRadiographyImageStorage, syntax: str = ExplicitVRLittleEndian, **options: Any
    ) -> Any:
        entity = AE(ae_title=options.pop("calling", "MODALITY"))
        entity.dimse_timeout = entity.network_timeout = entity.acse_timeout = 60
        entity.add_requested_context(sop_class, syntax)
        called = options.pop("called", "PNEUMOSCOPE")
        return entity.associate("127.0.0.1", self.port, ae_title=called, **options)

    def send(self, dataset: Dataset, **options: Any) -> Dataset:
        association = self.associate(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID, **options)
        assert association.is_established
        try:
            answer: Dataset = association.send_c_store(dataset)
            return answer
        finally:
            association.release()

    def images(self) -> list[str]:
        return list(self.spool.images())

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.trail.read_text().splitlines()]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(tmp_path / str(len(made)), **settings))
        return made[-1]

    yield make
    for site in made:
        site.receiver.stop()
        site.queue.close()
        site.received.close()
    made.clear()
    with warnings.catch_warnings():
        # pynetdicom leaves the sockets of broken associations to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def test_an_image_is_on_disk_and_queued_when_its_sender_is_told(site: Site) -> None:
    dataset = child_radiograph()
    assert site.send(dataset).Status == 0x0000
    (job,) = site.queue.recent()
    assert (job.state, job.arrival.sop_uid, job.arrival.source) == (State.RECEIVED, dataset.SOPInstanceUID, "MODALITY")
    content = site.spool.path(job.arrival.file).read_bytes()
    assert content[128:132] == b"DICM"
    assert dataset.PixelData in content


def test_success_is_answered_after_the_row_and_the_row_is_written_after_the_file(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            outcome = real(*arguments, **options)
            order.append(name)
            return outcome

        return call

    monkeypatch.setattr(Spool, "keep_image", noted("file", Spool.keep_image))
    monkeypatch.setattr(Queue, "add", noted("row", Queue.add))
    assert site.send(child_radiograph()).Status == 0x0000
    order.append("answer")
    assert order == ["file", "row", "answer"]


def test_compressed_images_are_kept_as_they_are(site: Site) -> None:
    dataset = child_radiograph()
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    assert site.send(dataset).Status == 0x0000
    (job,) = site.queue.recent()
    assert JPEG2000Lossless.encode() in site.spool.path(job.arrival.file).read_bytes()


def test_a_repeated_image_is_welcome_and_nothing_new(site: Site) -> None:
    for _ in range(3):
        assert site.send(child_radiograph()).Status == 0x0000
    assert len(site.queue.recent()) == len(site.images()) == 1


def test_the_same_uid_with_other_pixels_is_refused(site: Site) -> None:
    assert site.send(child_radiograph()).Status == 0x0000
    other = child_radiograph(7, SOPInstanceUID=child_radiograph().SOPInstanceUID)
    answer = site.send(other)
    assert answer.Status == receive.CONFLICT
    assert "another image" in answer.ErrorComment
    assert len(site.queue.recent()) == len(site.images()) == 1


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_image_without_its_uids_is_refused(missing: str, site: Site) -> None:
    dataset = child_radiograph()
    del dataset[missing]
    assert site.send(dataset).Status == receive.DOES_NOT_MATCH
    assert site.images() == []


def send_raw(association: Any, sop_uid: str, content: bytes) -> Any:
    """A C-STORE with any bytes for a data set; gives the reply, None where there was none."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = ComputedRadiographyImageStorage, sop_uid
    request.DataSet = BytesIO(content)
    association._reactor_checkpoint.clear()  # as send_c_store does: else the association's thread takes the reply
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    return association.dimse.get_msg(block=True)[1]


def test_command_and_data_set_must_name_the_same_object(site: Site) -> None:
    association = site.associate()
    answer = send_raw(association, "1.2.3.4", encode(child_radiograph(), False, True) or b"")
    assert answer.Status == receive.DOES_NOT_MATCH
    association.abort()


@pytest.mark.parametrize("content", [b"", b"\xff" * 4096, b"\x08\x00\x05\x00CS\xff\xff" + b"\0" * 100])
def test_damaged_data_sets_are_refused_and_the_next_image_is_taken(content: bytes, site: Site) -> None:
    association = site.associate()
    association.dimse_timeout = 3
    answer = send_raw(association, "1.2.3.4", content)
    assert answer is None or answer.Status != 0
    association.abort()
    assert site.send(child_radiograph()).Status == 0x0000
    assert len(site.images()) == 1


@pytest.mark.parametrize("names", [{"called": "SOMEBODY"}, {"calling": "STRANGER"}])
def test_strangers_and_wrong_addresses_are_rejected(names: dict[str, str], make_site: Callable[..., Site]) -> None:
    site = make_site(calling_ae_titles=("MODALITY",))
    assert site.associate(**names).is_rejected
    assert site.send(child_radiograph()).Status == 0x0000
    assert "association rejected" in [line["action"] for line in site.audit()]


@pytest.mark.parametrize(
    "sop_class", [CTImageStorage, ComprehensiveSRStorage, GrayscaleSoftcopyPresentationStateStorage]
)
def test_other_classes_are_not_taken(sop_class: str, site: Site) -> None:
    association = site.associate(sop_class)
    assert not association.accepted_contexts
    association.abort()


def test_too_many_images_a_minute_are_put_off(make_site: Callable[..., Site]) -> None:
    site = make_site(images_per_minute=2)
    assert [site.send(child_radiograph(number)).Status for number in range(3)] == [0, 0, receive.OUT_OF_RESOURCES]


def test_a_disk_that_runs_low_takes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "free_megabytes", lambda _: 0.5)
    assert site.send(child_radiograph()).Status == receive.OUT_OF_RESOURCES
    assert site.images() == []


@pytest.mark.parametrize("broken", ["file", "row"])
def test_what_cannot_be_written_is_not_promised(broken: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device") if broken == "file" else GatewayError("disk full")

    monkeypatch.setattr(*((Spool, "keep_image", full) if broken == "file" else (Queue, "add", full)))
    assert site.send(child_radiograph()).Status == receive.OUT_OF_RESOURCES
    monkeypatch.undo()
    assert site.send(child_radiograph()).Status == 0x0000


def test_an_image_beyond_the_limit_ends_its_association(make_site: Callable[..., Site]) -> None:
    site = make_site(maximum_megabytes=1)
    association = site.associate()
    status = association.send_c_store(child_radiograph(side=1024))
    assert "Status" not in status
    assert site.images() == []
    assert "image larger than the limit" in [line["action"] for line in site.audit()]
    assert site.send(child_radiograph()).Status == 0x0000


def _raw(site: Site, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as peer:
        peer.sendall(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + b"\0" * 70_000,  # claims 4 GB
        struct.pack(">BBL", 4, 0, 100) + b"\0" * 100,  # data before any association
        struct.pack(">BBL", 1, 0, 500) + b"\xff" * 500,
    ],
)
def test_what_is_no_dicom_does_not_stop_it(content: bytes, site: Site) -> None:
    _raw(site, content)
    assert site.send(child_radiograph()).Status == 0x0000


def test_an_association_that_breaks_off_midway_leaves_nothing(site: Site) -> None:
    association = site.associate()
    sent: list[bytes] = []
    real = association.dul.socket.send

    def half(content: bytes) -> None:
        sent.append(content)
        if len(sent) > 3:
            association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            raise OSError("cable pulled")
        real(content)

    association.dul.socket.send = half
    association.dimse_timeout = 3
    association.send_c_store(child_radiograph(side=1024))
    assert site.images() == []
    assert site.send(child_radiograph()).Status == 0x0000
    assert len(site.images()) == 1


def test_several_senders_at_once(site: Site) -> None:
    statuses: list[int] = []

    def send(number: int) -> None:
        statuses.append(site.send(child_radiograph(number)).Status)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 6
    assert len(site.images()) == len(site.queue.recent()) == 6


def test_a_taken_port_is_said_so(site: Site, tmp_path: Path) -> None:
    receiver = Receiver(
        dataclasses.replace(site.settings, port=site.port),
        site.spool,
        site.queue,
        AuditTrail(tmp_path, tmp_path / "audit"),
        lambda *_: None,
    )
    with pytest.raises(UsageError, match="cannot listen"):
        receiver.start()


class TestTls:
    @pytest.fixture
    def secured(self, tmp_path: Path, make_site: Callable[..., Site]) -> Site:
        self.authority = make_authority(tmp_path / "tls")
        self.client = make_certificate(self.authority, "modality")
        return make_site(tls=make_certificate(self.authority, "gateway"), calling_ae_titles=("MODALITY",))

    def test_a_client_with_a_certificate_gets_in_and_nobody_else(self, secured: Site, tmp_path: Path) -> None:
        good = (client_context(self.client), "127.0.0.1")
        assert secured.send(child_radiograph(), tls_args=good).Status == 0x0000
        assert not secured.associate().is_established, "without TLS"
        bare = ssl.create_default_context(cafile=str(self.authority))
        assert not secured.associate(tls_args=(bare, "127.0.0.1")).is_established, "without a certificate"
        stranger = make_certificate(make_authority(tmp_path / "other"), "stranger")
        context = client_context(dataclasses.replace(stranger, authority=self.authority))
        assert not secured.associate(tls_args=(context, "127.0.0.1")).is_established, "of another authority"
        assert not secured.associate(calling="STRANGER", tls_args=good).is_established, "of another name"
        assert len(secured.images()) == 1

    def test_version_and_cipher_are_what_the_documents_say(self, secured: Site) -> None:
        with socket.create_connection(("127.0.0.1", secured.port)) as plain:
            context = client_context(self.client)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as peer:
                assert peer.version() in ("TLSv1.2", "TLSv1.3")
                assert "GCM" in str(peer.cipher()) or "CHACHA" in str(peer.cipher())
        old = client_context(self.client)
        with pytest.warns(DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", secured.port)) as plain:
            old.wrap_socket(plain, server_hostname="127.0.0.1").do_handshake()

    def test_a_silent_stranger_does_not_hold_up_the_others(self, secured: Site) -> None:
        with socket.create_connection(("127.0.0.1", secured.port)):
            good = (client_context(self.client), "127.0.0.1")
            assert secured.send(child_radiograph(), tls_args=good).Status == 0x0000


def test_no_identity_is_in_the_trail(site: Site) -> None:
    dataset = child_radiograph()
    site.send(dataset)
    trail = site.trail.read_text()
    for identity in (dataset.PatientID, str(dataset.PatientName), dataset.StudyInstanceUID, dataset.AccessionNumber):
        assert identity not in trail.replace('"AccessionNumber"', "")
    (line,) = [each for each in site.audit() if each["action"] == "received"]
    assert line["event"] == {"code": "110104", "scheme": "DCM", "meaning": "DICOM Instances Transferred"}
    assert len(line["instance"]) == 24
