"""A hospital in a folder: an Orthanc, a gateway of its own processes, and a modality that sends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE

from pneumoscope.pacs.jobs import State
from pneumoscope.pacs.queue import Queue
from pneumoscope.pacs.settings import ARCHIVE_PASSWORD, WATCH_PASSWORD
from pneumoscope.pacs.steps import Step
from support.orthanc import PASSWORD, USER, Orthanc, free_port

PATIENCE: Final = 400.0
_DYING: Final = Path(__file__).with_name("dying_gateway.py")


def until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until something is true, and give it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {patience:.0f} s: {what}")


class Hospital:
    """Orthanc and gateway.

    Args:
        folder: of everything.
        model: content of the one-file model.
        dicomweb: deliver by STOW-RS; by C-STORE otherwise.
        mode: ``serve`` or ``watch``.
        keep_time: let the gateway's clock go; else it stands, and two runs may be compared.
        orthanc: further settings of Orthanc.
    """

    def __init__(
        self,
        folder: Path,
        model: bytes,
        *,
        dicomweb: bool = False,
        keep_time: bool = False,
        mode: str = "serve",
        **orthanc: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.mode, self.port, self.keep_time = folder, mode, free_port(), keep_time
        self.orthanc = Orthanc(folder / "orthanc", gateway_port=self.port, **orthanc)
        (folder / "model.tflite").write_bytes(model)
        (folder / "grave").mkdir(exist_ok=True)
        archive = f'kind = "dicom"\nae_title = "ORTHANC"\nport = {self.orthanc.port}'
        if dicomweb:
            archive = f'kind = "dicomweb"\nurl = "{self.orthanc.url}/dicom-web"\nuser = "{USER}"'
        self.settings = folder / "gateway.toml"
        self.settings.write_text(
            f"""
            spool = "spool"
            audit_log = "audit.jsonl"
            [judging]
            model = "model.tflite"
            [receive]
            port = {self.port}
            calling_ae_titles = ["MODALITY", "ORTHANC"]
            minimum_free_megabytes = 1
            [archive]
            timeout_seconds = 5
            {archive}
            [watch]
            url = "{self.orthanc.url}"
            user = "{USER}"
            interval_seconds = 0.2
            [retry]
            first_seconds = 0.2
            longest_seconds = 1
            commitment_seconds = 3
            [population]
            minimum_age = 1
            maximum_age = 5
            [status]
            port = 0
            """
        )
        self.gateway: subprocess.Popen[bytes] | None = None
        self.deaths = 0

    def start(self, die_at: Sequence[Step] = ()) -> None:
        """Start the gateway and wait until it listens."""
        environment = os.environ | {ARCHIVE_PASSWORD: PASSWORD, WATCH_PASSWORD: PASSWORD}
        log = (self.folder / "gateway.log").open("ab")
        dying = [str(_DYING), str(self.settings), self.mode, str(self.folder / "grave"), *die_at]
        plain = ["-m", "pneumoscope", "pacs", self.mode, "--settings", str(self.settings)]
        self.gateway = subprocess.Popen(
            [sys.executable, *(plain if self.keep_time else dying)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        until(lambda: self.is_listening() or self.gateway_died(), "the gateway listens")

    def is_listening(self) -> bool:
        """Whether the gateway answers a C-ECHO."""
        from pynetdicom.sop_class import Verification

        entity = AE(ae_title="MODALITY")
        entity.connection_timeout = entity.acse_timeout = 3
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", self.port, ae_title="PNEUMOSCOPE")
        if association.is_established:
            association.release()
            return True
        return False

    def gateway_died(self) -> bool:
        """Whether the gateway ended by itself."""
        return self.gateway is None or self.gateway.poll() is not None

    def stop(self) -> int:
        """End the gateway as its owner would; gives its exit status."""
        assert self.gateway is not None
        self.gateway.terminate()
        code = self.gateway.wait(60)
        self.gateway = None
        return code

    def close(self) -> None:
        """End everything."""
        if self.gateway is not None and self.gateway.poll() is None:
            os.killpg(self.gateway.pid, signal.SIGKILL)
            self.gateway.wait()
        self.orthanc.kill()

    def keep_alive(self, die_at: Sequence[Step] = ()) -> None:
        """Start the gateway again where it died."""
        if self.gateway_died():
            self.deaths += 1
            self.start(die_at)

    def send(self, datasets: Sequence[Dataset]) -> list[int | None]:
        """Send images in one association, as a modality; gives the status of each, ``None`` without answer."""
        entity = AE(ae_title="MODALITY")
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        for pair in {(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in datasets}:
            entity.add_requested_context(*pair)
        association = entity.associate("127.0.0.1", self.port, ae_title="PNEUMOSCOPE")
        statuses: list[int | None] = []
        for dataset in datasets:
            status = association.send_c_store(dataset).get("Status") if association.is_established else None
            statuses.append(status)
        if association.is_established:
            association.release()
        return statuses

    def send_until_taken(self, datasets: Sequence[Dataset], die_at: Sequence[Step] = ()) -> None:
        """Send as a modality does that keeps what was not answered with success."""
        waiting = list(datasets)
        end = time.monotonic() + PATIENCE
        while waiting:
            assert time.monotonic() < end, f"{len(waiting)} images were never taken"
            self.keep_alive(die_at)
            statuses = self.send(waiting[:8])
            waiting = [each for each, status in zip(waiting, statuses, strict=False) if status != 0] + waiting[8:]

    def counts(self) -> dict[State, int]:
        """Jobs by state."""
        queue = Queue(self.folder / "spool" / "queue.sqlite")
        try:
            return queue.counts()
        finally:
            queue.close()

    def until_done(self, number: int, state: State = State.COMMITTED, die_at: Sequence[Step] = ()) -> None:
        """Wait until so many images got as far as a state, starting the gateway again where it dies."""

        def done() -> bool:
            self.keep_alive(die_at)
            return self.counts()[state] >= number

        until(done, f"{number} images {state}")

    def trail(self) -> str:
        """The audit trail."""
        return (self.folder / "audit.jsonl").read_text()
