"""A real Orthanc for the tests: Debian's packages, started by hand on loopback, killed and started again at will."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

PROGRAM: Final = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGINS: Final = Path("/usr/share/orthanc/plugins")
MISSING: Final = (
    "Orthanc and dcmtk are not installed: nothing shows here that results reach a real archive. "
    "`make orthanc` installs them where root allows"
)
USER, PASSWORD = "tests", "only-for-tests"

_CLONE_NEWNET: Final = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def is_installed() -> bool:
    """Whether Orthanc with its plugins and dcmtk's programs are here."""
    plugins = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
    return (
        Path(PROGRAM).is_file()
        and all((PLUGINS / each).exists() for each in plugins)
        and bool(shutil.which("storescu"))
    )


@contextmanager
def loopback_only() -> Iterator[None]:
    """A network of its own with nothing but loopback, for this thread and all that it starts.

    Debian's Orthanc listens on every address of the machine, whatever its settings say; here there is only one.
    Where that may not be done (no root), the machine's own network is used, and Orthanc asks everybody for a password.
    """
    library = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    entered = library.unshare(_CLONE_NEWNET) == 0
    try:
        if entered:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                request = struct.pack("16sh14x", b"lo", 0)
                (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
                fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
        yield
    finally:
        if entered:
            library.setns(before, _CLONE_NEWNET)
        os.close(before)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """One Orthanc with its storage in a folder.

    Args:
        folder: of settings and storage.
        gateway_port: where the gateway listens, for storage commitment.
        gateway_title: its AE title.
    """

    title = "ORTHANC"

    def __init__(self, folder: Path, *, gateway_port: int, gateway_title: str = "PNEUMOSCOPE", **options: Any) -> None:
        self.folder, self.port, self.http_port = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "Name": "tests",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so"), str(PLUGINS / "libOrthancGdcm.so")],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAet": self.title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowEcho": False,
            "DicomCheckModalityHost": True,
            "DicomModalities": {
                "gateway": {
                    "AET": gateway_title,
                    "Host": "127.0.0.1",
                    "Port": gateway_port,
                    "Manufacturer": "Generic",
                    "AllowStorageCommitment": True,
                },
                "modality": {"AET": "MODALITY", "Host": "127.0.0.1", "Port": 1},
            },
            "OverwriteInstances": False,
            "StableAge": 2,
            "StorageCommitmentReportsSize": 1000,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
            **options,
        }
        self.settings_file = folder / "orthanc.json"
        self.settings_file.write_text(json.dumps(settings))
        self.session = requests.Session()
        self.session.auth = (USER, PASSWORD)
        self.session.trust_env = False
        self.session.headers["Accept-Encoding"] = "identity"

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self.folder / "orthanc.log").open("ab")
        self.process = subprocess.Popen([PROGRAM, str(self.settings_file)], stdout=log, stderr=log)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                if self.session.get(f"{self.url}/system", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError(f"Orthanc did not start: {(self.folder / 'orthanc.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as a power failure would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def get(self, path: str) -> Any:
        """JSON of a REST resource."""
        answer = self.session.get(self.url + path, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def upload(self, content: bytes) -> None:
        """Put an object in by REST, as a user's browser does."""
        self.session.post(f"{self.url}/instances", data=content, timeout=10).raise_for_status()

    def delete_object(self, sop_uid: str) -> None:
        """Forget an object."""
        (identifier,) = self.find(SOPInstanceUID=sop_uid)
        self.session.delete(f"{self.url}/instances/{identifier}", timeout=10).raise_for_status()

    def find(self, **query: str) -> list[str]:
        """Orthanc's identifiers of the instances that match."""
        answer = self.session.post(f"{self.url}/tools/find", json={"Level": "Instance", "Query": query}, timeout=10)
        answer.raise_for_status()
        return [str(each) for each in answer.json()]

    def results(self) -> dict[str, bytes]:
        """Files of all objects that the gateway made, by SOP Instance UID."""
        found = {}
        for identifier in self.get("/instances"):
            tags = self.get(f"/instances/{identifier}/simplified-tags")
            if tags.get("Manufacturer") == "Pneumoscope":
                content = self.session.get(f"{self.url}/instances/{identifier}/file", timeout=10).content
                assert tags["SOPInstanceUID"] not in found, "the archive holds an object twice"
                found[tags["SOPInstanceUID"]] = content
        return found
