"""The audit as files: ``audit.json``, and ``index.html``, one page with thumbnails that opens offline."""

from __future__ import annotations

import dataclasses
import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from pneumoscope.datasets.audit.findings import Audit
from pneumoscope.drawing.page import render as render_template
from pneumoscope.drawing.png import data_uri
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.imaging.reader import read_image
from pneumoscope.model.contract import RESEARCH_USE_ONLY

THUMBNAIL = 112
"""Longer side of a thumbnail, in pixels."""

_SHOWN = 24  # of each kind of finding; the rest is in audit.json


def as_json(audit: Audit) -> dict[str, Any]:
    """The content of ``audit.json``."""
    return {"notice": RESEARCH_USE_ONLY, "pneumoscope": version("pneumoscope"), **dataclasses.asdict(audit)}


def write_audit(audit: Audit, data_dir: Path, out: Path) -> tuple[Path, Path]:
    """Write ``audit.json`` and ``index.html``.

    Args:
        audit: the findings.
        data_dir: the audited folder, where the thumbnails are made from.
        out: a folder, made if need be. Its page shows the images: publish it only where they may be.

    Returns:
        The two files.

    Raises:
        PneumoscopeError: the folder cannot be written.
    """
    record, page = out / "audit.json", out / "index.html"
    text = render_page(audit, data_dir)
    make_folder(out)
    # As a whole, and in place of a link that somebody planted there.
    write_atomically(record, (json.dumps(as_json(audit), indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(page, text.encode())
    return record, page


def render_page(audit: Audit, data_dir: Path) -> str:
    """The page as HTML, thumbnails and styles inside."""
    return render_template(
        "pneumoscope.datasets.audit",
        "audit.html.j2",
        audit=audit,
        notice=RESEARCH_USE_ONLY,
        version=version("pneumoscope"),
        name=data_dir.resolve().name,
        shown=_SHOWN,
        thumbnail=lambda path: thumbnail(data_dir / path),
    )


def thumbnail(path: Path) -> str:
    """A JPEG data URI of an image that could be read, aspect ratio kept."""
    image = Image.fromarray(read_image(path, target=THUMBNAIL).pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=70)
    return data_uri(stream.getvalue(), "image/jpeg")
