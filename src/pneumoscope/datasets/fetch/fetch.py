"""Fetch the public data set: from Kaggle, or from its open archive over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pneumoscope.datasets.fetch.download import Download, download
from pneumoscope.datasets.fetch.unpack import (
    copy_folder,
    count_images,
    finish_move,
    refuse_filled,
    splits_in,
    unpack_zip,
)
from pneumoscope.datasets.kermany import KERMANY
from pneumoscope.errors import DataError, PneumoscopeError
from pneumoscope.files import only_one, sha256_of, write_atomically

LICENCE = KERMANY.licence
CITATION = KERMANY.citation

KAGGLE_HANDLE = "paultimothymooney/chest-xray-pneumonia"

MENDELEY = Download(
    url=(
        "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/"
        "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded"
    ),
    # Not published where we could check it, so not stated: the command prints the hash it got.
    sha256=None,
    size=None,
)
"""``ChestXRay2017.zip`` of version 2, about 1.2 GB: train and test; Kaggle's val is taken from its train."""

_ARCHIVE = "archive.zip"
_RECORD = "source.json"


class Place(StrEnum):
    """Where the data set is fetched from."""

    KAGGLE = "kaggle"
    MENDELEY = "mendeley"


@dataclass(frozen=True)
class Fetched:
    """What was fetched; written to ``source.json`` in the data folder.

    Attributes:
        source: address or Kaggle handle.
        images: number of radiographs.
        sha256: of the archive; ``None`` from Kaggle, whose client checks its own downloads.
        licence: of the data set.
        citation: what to cite.
    """

    source: str
    images: int
    sha256: str | None
    licence: str = LICENCE
    citation: str = CITATION


def fetch_archive(out: Path, what: Download = MENDELEY, *, accept_unverified: bool = False) -> Fetched:
    """Download an archive over HTTP and unpack it; an interrupted call goes on when it is run again.

    Args:
        out: the data folder, without splits yet.
        what: the archive.
        accept_unverified: take an archive whose hash is not known in advance.

    Raises:
        DataError: ``out`` holds splits already, the transfer or a check fails, or the archive is unsound.
    """
    with only_one(out, "fetch"):
        finish_move(out)
        archive = out / _ARCHIVE
        if not archive.exists() or not splits_in(out):
            refuse_filled(out)
            digest = download(what, archive, accept_unverified=accept_unverified)
            images = unpack_zip(archive, out)
        else:  # killed after the images were in place
            digest, images = sha256_of(archive), count_images(out)
        fetched = _record(out, Fetched(what.url, images, digest))
        archive.unlink()
        return fetched


def fetch_kaggle(out: Path, handle: str = KAGGLE_HANDLE, *, client: Callable[[str], str] | None = None) -> Fetched:
    """Get the data set with Kaggle's own client and copy it from the client's cache.

    Args:
        out: the data folder, without splits yet.
        handle: ``owner/name``.
        client: takes the handle, returns the folder; ``kagglehub.dataset_download`` by default.

    Raises:
        DataError: ``out`` holds splits already, Kaggle refuses or cannot be reached, or the disk is full.
    """
    with only_one(out, "fetch"):
        finish_move(out)
        return _fetch_kaggle(out, handle, client)


def _fetch_kaggle(out: Path, handle: str, client: Callable[[str], str] | None) -> Fetched:
    refuse_filled(out)
    try:
        folder = Path((client or _kagglehub)(handle))
    except OSError as error:  # requests' errors are among these
        raise DataError(
            f"kaggle {handle}: could not be fetched ({error}); it may need a token (KAGGLE_API_TOKEN), "
            "or use --source mendeley"
        ) from error
    return _record(out, Fetched(f"https://www.kaggle.com/datasets/{handle}", copy_folder(folder, out), None))


def _kagglehub(handle: str) -> str:
    import kagglehub
    from kagglehub import exceptions

    refusals = (
        exceptions.BackendError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.KaggleEnvironmentError,
        exceptions.NotFoundError,
        exceptions.UnauthenticatedError,
    )
    try:
        return str(kagglehub.dataset_download(handle))
    except refusals as error:
        raise OSError(str(error)) from error


def _record(out: Path, fetched: Fetched) -> Fetched:
    text = json.dumps(fetched.__dict__, indent=2, ensure_ascii=False) + "\n"
    try:
        write_atomically(out / _RECORD, text.encode())
    except PneumoscopeError as error:
        raise DataError(str(error)) from error
    return fetched
