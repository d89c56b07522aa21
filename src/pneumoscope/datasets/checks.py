"""What must hold before training starts, all faults in one message instead of one at a time."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pneumoscope.datasets.audit.duplicates import same_value_groups
from pneumoscope.datasets.kermany import PatientKey
from pneumoscope.datasets.layout import Split, describe_left_out
from pneumoscope.datasets.manifest import read_manifest
from pneumoscope.datasets.registry import open_source
from pneumoscope.datasets.source import LabelledImage, Source
from pneumoscope.errors import DataError, InputError
from pneumoscope.files import sha256_of
from pneumoscope.imaging.reader import read_image

_LISTED = 20


@dataclass(frozen=True)
class CheckedFolder:
    """A data folder that training may use.

    Attributes:
        images: every image of the splits.
        hashes: SHA-256 of each one's bytes, in the same order.
        notes: what was left out, one sentence each.
    """

    images: tuple[LabelledImage, ...]
    hashes: tuple[str, ...]
    notes: tuple[str, ...]


def check_folder(
    data_dir: Path,
    splits: Split | str | Iterable[Split | str] | None = None,
    *,
    key: PatientKey = PatientKey.PERSON,
    pooled: bool = True,
    jobs: int | None = None,
) -> CheckedFolder:
    """:func:`check_source` of whatever data set a folder is.

    Args:
        data_dir: as :func:`~pneumoscope.datasets.registry.open_source` takes it, and ``splits`` and ``key`` too.
        splits: which split folders; ``None`` for a folder that holds the two classes directly.
        key: what a patient is.
        pooled: the splits are thrown together and split again by patient, so a patient or the same bytes in
            two of them is no fault; ``False`` where the folders themselves are the sides.
        jobs: threads; as many as there are processors by default.

    Raises:
        DataError: missing or empty classes, unreadable files, the same bytes under two labels, or (unless
            pooled) patients or bytes in two splits: all of them named and counted.
    """
    return check_source(open_source(data_dir, splits, key=key), pooled=pooled, jobs=jobs)


def check_source(source: Source, *, pooled: bool = True, jobs: int | None = None) -> CheckedFolder:
    """Read every image of a source once and refuse it if anything would spoil a training on it.

    Args:
        source: the data set.
        pooled: as of :func:`check_folder`.
        jobs: threads; as many as there are processors by default.

    Raises:
        DataError: as of :func:`check_folder`.
    """
    scan = source.scan()
    faults = list(scan.problems)
    hashes, unreadable = _read_all([image.path for image in scan.images], jobs)
    faults += _counted(unreadable, "unreadable files, to remove or replace")
    read = [(image, digest) for image, digest in zip(scan.images, hashes, strict=True) if digest]
    groups = [[read[i][0] for i in group] for group in same_value_groups([digest for _, digest in read])]
    faults += _counted(
        [_names(group) for group in groups if len({image.label for image in group}) > 1],
        "groups of byte-identical files under both labels, of which one is wrong",
    )
    if not pooled:
        faults += _counted(
            [_names(group) for group in groups if len({image.split for image in group}) > 1],
            "groups of byte-identical files in more than one split",
        )
        faults += _counted(_shared_patients(scan.images), "patients in more than one split")
    if faults:
        raise DataError(f"{source.name}: cannot be used as it is:\n" + "\n".join(f"- {fault}" for fault in faults))
    notes = (describe_left_out(scan.left_out),) if scan.left_out else ()
    return CheckedFolder(scan.images, tuple(hashes), notes)


def read_checked_manifest(
    file: Path, data_dir: Path, *, role: str | None = None, jobs: int | None = None
) -> list[LabelledImage]:
    """Read a manifest and make sure that its images are there and unchanged.

    Args:
        file: as :func:`~.manifest.read_manifest` takes it.
        data_dir: the folder that its paths are relative to.
        role: only the images of this role; of every role for ``None``.
        jobs: threads; as many as there are processors by default.

    Raises:
        DataError: no such folder, a faulty manifest, no image of the role, or files that do not fit it.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; give the one that the paths in {file} are relative to")
    rows = read_manifest(file, data_dir)
    chosen = [row for row in rows if role is None or row.role == role]
    if not chosen:
        there = ", ".join(sorted({str(row.role) for row in rows}))
        raise DataError(f"{file}: no image has the role '{role}'; it has {there}")
    check_files(chosen, jobs=jobs)
    return chosen


def check_files(rows: Sequence[LabelledImage], *, jobs: int | None = None) -> None:
    """Make sure that the images of a manifest are there and unchanged; they are hashed and not decoded.

    Raises:
        DataError: some are not; all of them are named and counted.
    """

    def read(row: LabelledImage) -> str | DataError:
        try:
            return sha256_of(row.path)
        except DataError as error:
            return error

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        found = list(tqdm(pool.map(read, rows), total=len(rows), desc="Checking files", unit="file"))
    missing = [str(error) for error in found if isinstance(error, DataError)]
    changed = [
        str(row.path) for row, got in zip(rows, found, strict=True) if isinstance(got, str) and got != row.sha256
    ]
    faults = _counted(missing, "missing or unreadable files") + _counted(
        changed, "files with other bytes than the manifest says"
    )
    if faults:
        raise DataError("the manifest does not fit the files:\n" + "\n".join(f"- {fault}" for fault in faults))


def _read_all(paths: Sequence[Path], jobs: int | None) -> tuple[list[str], list[str]]:
    """Hash of each file, empty where it cannot be decoded, and why it cannot."""

    def read(path: Path) -> str | InputError:
        try:
            return read_image(path).sha256
        except InputError as error:
            return error

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        results = list(
            tqdm(pool.map(read, paths), total=len(paths), desc="Checking images", unit="image", disable=not paths)
        )
    return (
        [result if isinstance(result, str) else "" for result in results],
        [str(result) for result in results if isinstance(result, InputError)],
    )


def _shared_patients(images: Sequence[LabelledImage]) -> list[str]:
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    for image in images:
        counts = splits[image.patient]
        counts[str(image.split)] = counts.get(str(image.split), 0) + 1
    return [
        f"{patient}: " + ", ".join(f"{count} in {split}" for split, count in counts.items())
        for patient, counts in splits.items()
        if len(counts) > 1
    ]


def _names(group: Sequence[LabelledImage]) -> str:
    return " = ".join(str(image.path) for image in group)


def _counted(found: Sequence[str], what: str) -> list[str]:
    """One fault with its number and its cases, or none."""
    if not found:
        return []
    more = [f"... and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return ["\n    ".join([f"{what}: {len(found)}", *found[:_LISTED], *more])]
