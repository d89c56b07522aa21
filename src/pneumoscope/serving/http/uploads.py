"""The images of a request: taken from its body, kept in memory, named safely."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Final

from flask import Request

from pneumoscope.imaging.source import UNNAMED
from pneumoscope.serving.http.problems import ProblemError

FIELD: Final = "file"
RAW_TYPES: Final = ("application/octet-stream", "application/dicom", "image/")
_LONGEST_NAME: Final = 200
_OUTWARD: Final = re.compile(r"[/\\]|[A-Za-z]:[/\\]|(.*[/\\])?\.\.([/\\]|$)|.*\x00", re.DOTALL)
"""Names that lead out of a folder: absolute ones, those that climb, and those that a NUL would cut short."""
_NOT_SHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, eq=False)
class Upload:
    """One image as it was sent.

    Attributes:
        name: what the record calls it; never used as a path.
        content: the bytes of the file.
    """

    name: str
    content: bytes


class InMemoryRequest(Request):
    """A request whose uploads never touch the disk. The size limit of the body bounds what is kept."""

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return BytesIO()


def safe_name(name: str) -> str:
    """The last part of a client's file name, without characters that steer a terminal or a page.

    Raises:
        ProblemError: it is a path that leads out of a folder, which no sound client sends.
    """
    if _OUTWARD.match(name):
        raise ProblemError(
            "bad-request", f"file name {_printable(name)[:80]!r}: leads out of its folder; send the name without a path"
        )
    last = re.split(r"[/\\]", name)[-1]
    return _printable(last)[:_LONGEST_NAME].strip() or UNNAMED


def _printable(text: str) -> str:
    return _NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def take_uploads(request: Request, max_files: int) -> list[Upload]:
    """Read the images of a request: multipart form data with the field ``file``, or one raw body.

    Raises:
        ProblemError: there is none, there are too many, or the body is of another type.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ProblemError("unsupported-type", f"content encoding {encoding[:60]!r}: send the body as it is, unpacked")
    kind = request.mimetype
    if kind == "multipart/form-data":
        if not request.mimetype_params.get("boundary"):
            raise ProblemError(
                "bad-request", "the content type names no boundary; leave that header to the client that makes the form"
            )
        return _from_form(request, max_files)
    if kind and not kind.startswith(RAW_TYPES):
        raise ProblemError(
            "unsupported-type",
            f"content type {kind[:60]!r}: send multipart/form-data with the field '{FIELD}', "
            "or one file as application/octet-stream",
        )
    content = request.get_data(cache=False)
    request.stream.read(1)  # werkzeug cuts a chunked body at the limit; reading on is what raises 413
    if not content:
        raise ProblemError("no-image", f"the body is empty; send an image as the body, or as the form field '{FIELD}'")
    return [Upload(UNNAMED, content)]


def _from_form(request: Request, max_files: int) -> list[Upload]:
    files = request.files.getlist(FIELD)
    # A part may come without a name, which werkzeug gives as None.
    others = sorted({str(name or "") for name in (*request.files, *request.form)} - {FIELD})
    if others:
        names = ", ".join(repr(_printable(name)[:40]) for name in others[:5])
        raise ProblemError("bad-request", f"form field {names}: only '{FIELD}' is known; send each image as '{FIELD}'")
    if request.form.getlist(FIELD):
        raise ProblemError("no-image", f"'{FIELD}' holds text, not a file; with curl write -F {FIELD}=@radiograph.png")
    if len(files) > max_files:
        raise ProblemError(
            "too-large", f"{len(files)} files, at most {max_files} a request are taken; send several requests"
        )
    uploads = [Upload(safe_name(entry.filename or ""), entry.stream.read()) for entry in files]
    # A browser sends a form without a chosen file as one part without name and content.
    if not any(entry.filename or upload.content for entry, upload in zip(files, uploads, strict=True)):
        raise ProblemError("no-image", f"the form holds no file; send one or more as the field '{FIELD}'")
    return uploads
