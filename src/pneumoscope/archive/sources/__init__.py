"""Kinds of source, chosen by the look of their address."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Final

from pneumoscope.archive.items import Source
from pneumoscope.errors import ArchiveError

MANIFEST_ENDINGS: Final = (".csv", ".parquet")
DICOMWEB_SCHEMES: Final = ("dicomweb+http://", "dicomweb+https://")


def open_source(address: str, *, where: str | None = None, column: str = "path") -> Source:
    """Open a source.

    Args:
        address: a folder; a manifest (``.csv``, ``.parquet``); a tar or ZIP of images; ``dicomweb+http(s)://`` of a
            DICOMweb server; or any other ``scheme://`` that fsspec knows, such as ``s3://bucket/prefix``.
        where: filter on a manifest's columns, ``COLUMN=VALUE``.
        column: of a manifest, with the images' paths.

    Raises:
        ArchiveError: there is no such source, or it is of no known kind.
        MissingExtraError: it needs a library that is not installed.
    """
    if address.startswith(DICOMWEB_SCHEMES):
        from pneumoscope.archive.sources.dicomweb import DicomwebSource

        return DicomwebSource(address)
    if "://" in address:
        from pneumoscope.archive.sources.remote import RemoteSource

        return RemoteSource(address)
    path = Path(address)
    if where is not None and path.suffix.lower() not in MANIFEST_ENDINGS:
        raise ArchiveError(f"{address}: --where chooses rows of a manifest (.csv, .parquet), and this is none")
    if path.is_dir():
        from pneumoscope.archive.sources.folder import FolderSource

        return FolderSource(address)
    if not path.exists():
        raise ArchiveError(f"{address}: no such folder or file")
    if path.suffix.lower() in MANIFEST_ENDINGS:
        from pneumoscope.archive.sources.manifest import ManifestSource

        return ManifestSource(address, column=column, where=where)
    if zipfile.is_zipfile(path):
        from pneumoscope.archive.sources.bundle import ZipSource

        return ZipSource(address)
    if tarfile.is_tarfile(path):
        from pneumoscope.archive.sources.bundle import TarSource

        return TarSource(address)
    raise ArchiveError(
        f"{address}: not a source; give a folder, a manifest (.csv, .parquet), a tar or ZIP of images, or an address "
        "such as s3://bucket/prefix or dicomweb+https://host/dicom-web"
    )
