"""The audit trail: one JSON object for each hop, with the event names of PS3.15 and no identity.

UIDs, accession numbers and AE titles of the patient's objects stand as keyed hashes (HMAC-SHA-256, the key beside the
queue): whoever has key and archive can tell which image a line is about, whoever has the lines alone cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Final

from pneumoscope.errors import GatewayError

KEY_FILE: Final = "audit.key"
_HASH_DIGITS: Final = 24


class Event(Enum):
    """Audit events by their codes and names in PS3.16, CID 400 (DCM)."""

    APPLICATION_ACTIVITY = ("110100", "Application Activity")
    INSTANCES_ACCESSED = ("110103", "DICOM Instances Accessed")
    INSTANCES_TRANSFERRED = ("110104", "DICOM Instances Transferred")
    STUDY_DELETED = ("110105", "DICOM Study Deleted")
    SECURITY_ALERT = ("110113", "Security Alert")


class Outcome(Enum):
    """How an event ended (RFC 3881, 5.1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


class AuditTrail:
    """Writes the trail; any number of processes may write to one file, a line at a time.

    Args:
        spool: folder of the queue, where the key lives.
        file: of the trail; standard error for ``None``.

    Raises:
        GatewayError: key or file cannot be written.
    """

    def __init__(self, spool: Path, file: Path | None) -> None:
        try:
            self._key = _read_key(spool / KEY_FILE)
            self._descriptor = (
                sys.stderr.fileno() if file is None else os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            )
        except OSError as error:
            raise GatewayError(f"audit trail: {error.filename}: cannot be written ({error.strerror})") from error

    def hashed(self, identity: str) -> str:
        """What stands in the trail for an identifier; empty for an empty one."""
        if not identity:
            return ""
        return hmac.new(self._key, identity.encode(), hashlib.sha256).hexdigest()[:_HASH_DIGITS]

    def write(
        self,
        event: Event,
        action: str,
        outcome: Outcome = Outcome.SUCCESS,
        *,
        instance: str = "",
        study: str = "",
        **details: object,
    ) -> None:
        """Write one line.

        Args:
            event: what kind.
            action: in words, such as ``received``.
            outcome: how it ended.
            instance: SOP Instance UID; hashed.
            study: Study Instance UID; hashed.
            details: further plain values without identity.
        """
        code, meaning = event.value
        entry = {
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "event": {"code": code, "scheme": "DCM", "meaning": meaning},
            "action": action,
            "outcome": outcome.value,
            "instance": self.hashed(instance),
            "study": self.hashed(study),
            **details,
        }
        line = json.dumps({key: value for key, value in entry.items() if value not in ("", None)}, ensure_ascii=False)
        # The trail must not stop the work: a full disk is seen by the queue, which answers for it.
        try:
            os.write(self._descriptor, line.encode() + b"\n")
        except OSError:
            return


def _read_key(file: Path) -> bytes:
    """The key; made when first asked for. Two processes that make it at once end with the same one."""
    if not file.exists():
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_bytes(os.urandom(32))
        try:
            os.link(partial, file)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return file.read_bytes()
