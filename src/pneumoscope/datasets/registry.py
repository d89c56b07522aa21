"""The data sets that are known, and which of them a folder is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pneumoscope.datasets.folder import FolderSource
from pneumoscope.datasets.kermany import KERMANY, KermanySource, PatientKey
from pneumoscope.datasets.layout import Split, describe_left_out
from pneumoscope.datasets.nih import NIH, NihSource
from pneumoscope.datasets.source import LabelledImage, Scan, Source
from pneumoscope.errors import DataError

ORIGINS: Final = {origin.name: origin for origin in (KERMANY, NIH)}
"""By the name that manifests give them."""

_logger = logging.getLogger(__name__)

Splits = Split | str | Iterable[Split | str] | None


def open_source(folder: Path, splits: Splits = None, *, key: PatientKey = PatientKey.PERSON) -> Source:
    """Find out what data set a folder is.

    Args:
        folder: of NIH ChestX-ray14 (``images/`` and ``labels.csv``), or in the layout of
            :mod:`pneumoscope.datasets.layout`.
        splits: which split folders; ``None`` for a folder that holds the two classes directly.
        key: what a patient is, where file names leave a choice.

    Raises:
        DataError: there is no such folder.
    """
    if splits is None and NihSource.recognises(folder):
        return NihSource(folder)
    named = KermanySource(folder, splits if splits is None or isinstance(splits, str) else tuple(splits), key)
    if any(image.patient_known for image in named.scan().images):
        return named
    return FolderSource(folder, named.splits)


def scan_folder(folder: Path, splits: Splits = None, *, key: PatientKey = PatientKey.PERSON) -> Scan:
    """List a folder's images and every fault of its layout; as :func:`open_source` takes it.

    Raises:
        DataError: there is no such folder.
    """
    return open_source(folder, splits, key=key).scan()


def images_of(source: Source) -> list[LabelledImage]:
    """The images of a source that has no fault; what lies there and is no image is logged.

    Raises:
        DataError: the folder, a split or a class is missing or empty, or a split was not named; every such
            fault is in the message.
    """
    found = source.scan()
    if found.problems:
        raise DataError("\n".join(found.problems))
    if found.left_out:
        _logger.warning("%s: %s", source.name, describe_left_out(found.left_out))
    return list(found.images)


def find_images(folder: Path, splits: Splits = None, *, key: PatientKey = PatientKey.PERSON) -> list[LabelledImage]:
    """The images of a folder, at least one of each class; see :func:`open_source` and :func:`images_of`.

    Raises:
        DataError: as of :func:`images_of`.
    """
    return images_of(open_source(folder, splits, key=key))
