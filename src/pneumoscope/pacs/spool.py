"""Files of the gateway: images that came in, results that go out. A file is whole and on disk, or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pneumoscope.errors import GatewayError

_PARTIAL: Final = ".partial"
QUEUE_FILE: Final = "queue.sqlite"


class Spool:
    """The folder of a gateway.

    Args:
        folder: made where it is missing, readable by its owner alone: images carry names.

    Raises:
        GatewayError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.incoming, self.outgoing = folder, folder / "incoming", folder / "outgoing"
        try:
            for each in (folder, self.incoming, self.outgoing):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(f"spool {folder}: cannot be made ({error.strerror or error})") from error

    @property
    def queue_file(self) -> Path:
        """The queue's database."""
        return self.folder / QUEUE_FILE

    def keep_image(self, sop_uid: str, content_sha256: str, content: bytes) -> str:
        """Write an image and flush it to disk.

        Returns:
            Its name below the spool: the same for the same UID and content, so a repeated image takes no more room.

        Raises:
            OSError: the disk is full or broken.
        """
        name = f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:24]}-{content_sha256[:24]}.dcm"
        return self._keep(self.incoming / name, content)

    def keep_result(self, sop_uid: str, content: bytes) -> str:
        """Write a result and flush it to disk; see :meth:`keep_image`."""
        return self._keep(self.outgoing / f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:32]}.dcm", content)

    def path(self, name: str) -> Path:
        """Of a file by its name below the spool."""
        return self.folder / name

    def remove(self, name: str) -> None:
        """Delete a file; one that is not there is fine."""
        self.path(name).unlink(missing_ok=True)

    def images(self) -> Iterator[str]:
        """Names of all whole images; what an interruption left half written is deleted."""
        for file in sorted(self.incoming.iterdir()):
            if file.name.endswith(_PARTIAL):
                file.unlink(missing_ok=True)
            else:
                yield str(file.relative_to(self.folder))

    def free_megabytes(self) -> float:
        """Left on the disk."""
        return shutil.disk_usage(self.folder).free / 1e6

    def _keep(self, path: Path, content: bytes) -> str:
        partial = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}{_PARTIAL}")
        try:
            with partial.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)
        return str(path.relative_to(self.folder))


def _flush_folder(folder: Path) -> None:
    """Make a rename last: the folder's entry has to be on disk too."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
