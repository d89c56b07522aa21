"""The built page's files, with the headers they need.

The files are built by ``make app`` into the folder ``page`` beside this module, which git ignores and the wheel
carries.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumoscope.errors import UsageError

BUILT: Final = Path(__file__).parent / "page"
"""Where ``make app`` puts the page."""

INDEX: Final = "index.html"

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'none'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The page may speak to nobody but where it came from: ``connect-src 'self'``."""

# Named here, since a system's own tables may lack them or be wrong (Windows keeps them in the registry).
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
        path: where it is.
        headers: that it is served with.
    """

    path: Path
    headers: Mapping[str, str]


def is_built(folder: Path = BUILT) -> bool:
    """Tell whether this installation carries the page."""
    return (folder / INDEX).is_file()


def page_files(folder: Path = BUILT) -> dict[str, PageFile]:
    """Every file of the page by its name in a URL, ``""`` for the page itself.

    Only these are served, so no name can lead out of the folder.

    Raises:
        UsageError: the page was not built.
    """
    if not is_built(folder):
        raise UsageError(
            "this installation carries no page for the device; build it with `make app`, which needs Node.js"
        )
    files = {
        path.relative_to(folder).as_posix(): PageFile(path, _headers(path, is_hashed=path.parent.name == "assets"))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {"": files[INDEX], **files}


def _headers(path: Path, *, is_hashed: bool) -> dict[str, str]:
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # A name that holds a hash never changes its content; all else is asked for anew, so that versions never mix.
    cache = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
    return {**SECURITY_HEADERS, "Content-Type": kind, "Cache-Control": cache}
