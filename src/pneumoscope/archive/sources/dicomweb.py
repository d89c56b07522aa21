"""A DICOMweb server (PS3.18): QIDO-RS lists, WADO-RS reads."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any, Final

from pneumoscope.archive.items import Item
from pneumoscope.errors import ArchiveError, RefusedInputError, UnreadableInputError
from pneumoscope.imaging.limits import MAX_BYTES

PAGE: Final = 200
"""Instances asked for at a time."""

ATTEMPTS: Final = 4
"""Tries of one request before it counts as failed; servers answer 500 or 503 now and then."""

TIMEOUT: Final = 60.0
"""Seconds for one answer."""

USER: Final = "PNEUMOSCOPE_DICOMWEB_USER"
PASSWORD: Final = "PNEUMOSCOPE_DICOMWEB_PASSWORD"  # noqa: S105 - the name of the variable

MODALITIES: Final = ("CR", "DX", "DR")
_INSTANCE, _SERIES, _STUDY = "00080018", "0020000E", "0020000D"


class DicomwebSource:
    """Radiographs (CR, DX, DR) of a DICOMweb server, series by series in the order of their UIDs.

    User and password come from the environment (``PNEUMOSCOPE_DICOMWEB_USER``, ``PNEUMOSCOPE_DICOMWEB_PASSWORD``): an
    address is kept in the job's folder and shown in its summary, so one that holds them is refused.

    Args:
        address: ``dicomweb+http(s)://host/root``.

    Raises:
        ArchiveError: the address holds a user or password.
    """

    def __init__(self, address: str) -> None:
        parts = urllib.parse.urlsplit(address.removeprefix("dicomweb+"))
        if "@" in parts.netloc:
            raise ArchiveError(
                "the DICOMweb address holds a user or password, which would be written into the output folder; "
                f"set {USER} and {PASSWORD} instead"
            )
        self.address = address
        self._root = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
        if user := os.environ.get(USER):
            manager.add_password(None, self._root, user, os.environ.get(PASSWORD, ""), is_authenticated=True)
        self._opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))

    def items(self) -> Iterator[Item]:
        """Ask for one series after another; see :class:`~pneumoscope.archive.items.Source`."""
        try:
            for series in self._pages("/series", {"includefield": _STUDY}):
                if _value(series, "00080060") in MODALITIES:
                    yield from self._instances(_value(series, _STUDY), _value(series, _SERIES))
        except (OSError, ValueError) as error:
            raise ArchiveError(f"{self._root}: cannot be listed ({error})") from error

    def _instances(self, study: str, series: str) -> Iterator[Item]:
        place = f"/studies/{study}/series/{series}/instances"
        found = sorted(_value(instance, _INSTANCE) for instance in self._pages(place, {}))
        yield from (Item(f"{self._root}{place}/{uid}") for uid in found)

    def _pages(self, place: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            asked = urllib.parse.urlencode({**query, "limit": PAGE, "offset": offset})
            status, _, body = self._get(f"{self._root}{place}?{asked}", "application/dicom+json")
            page = json.loads(body) if status == 200 and body else []
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE

    def read(self, item: Item) -> bytes:
        """Fetch one instance as a DICOM file; see :class:`~pneumoscope.archive.items.Source`."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        try:
            _, headers, body = self._get(item.name, accept)
        except (OSError, ValueError) as error:
            raise UnreadableInputError(f"{item.name}: cannot be fetched ({error})") from error
        if len(body) > MAX_BYTES:
            raise RefusedInputError(f"{item.name}: files of at most {MAX_BYTES // 2**20} MiB are read")
        return _only_part(headers, body, item.name)

    def stamp(self, item: Item) -> Item:
        """As listed: a DICOM instance keeps its UID only while its content is the same (PS3.3)."""
        return item

    def _get(self, address: str, accept: str) -> tuple[int, Message, bytes]:
        request = urllib.request.Request(address, headers={"Accept": accept, "Accept-Encoding": "identity"})  # noqa: S310 - http(s) only, see open_source
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._opener.open(request, timeout=TIMEOUT) as answer:
                    return answer.status, answer.headers, answer.read(MAX_BYTES + 1)
            except urllib.error.HTTPError as error:
                if error.code < 500 or attempt == ATTEMPTS:
                    raise
            except urllib.error.URLError:
                if attempt == ATTEMPTS:
                    raise
            time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")


def _value(entry: dict[str, Any], tag: str) -> str:
    values = entry.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _only_part(headers: Message, body: bytes, name: str) -> bytes:
    """The first part of a multipart answer (RFC 2046), byte for byte."""
    if headers.get_content_maintype() != "multipart":
        return body
    boundary = b"--" + str(headers.get_boundary("")).encode()
    _, opened, rest = body.partition(boundary)
    _, empty_line, content = rest.partition(b"\r\n\r\n")
    content, closed, _ = content.rpartition(b"\r\n" + boundary + b"--")
    content = content.partition(b"\r\n" + boundary + b"\r\n")[0]
    if not (opened and empty_line and closed and content):
        raise UnreadableInputError(f"{name}: the server's answer holds no instance")
    return content
