"""Manifests: which image is used for what, as a CSV file instead of copied folders.

One row an image, with the columns of :class:`~pneumoscope.datasets.splits.ManifestRow`. Paths are relative to the
data folder, so that a manifest can be handed on, or absolute. A manifest that puts one patient, or the same
bytes, on two sides is refused when it is read.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pneumoscope.datasets.layout import Label
from pneumoscope.datasets.splits import ManifestRow, Role
from pneumoscope.errors import DataError

COLUMNS = ("path", "label", "subtype", "patient", "sha256", "role", "fold")
SUBTYPES = ("NORMAL", "BACTERIAL", "VIRAL")
_REQUIRED = COLUMNS[:-1]  # "fold" came later
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_LISTED = 20


def manifest_text(rows: Sequence[ManifestRow], data_dir: Path | None = None) -> str:
    """The manifest as CSV.

    Args:
        rows: the images.
        data_dir: paths are written relative to it; as they are where ``None``.

    Raises:
        DataError: an image lies outside ``data_dir``.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(dataclasses.asdict(row) | {"path": _written_path(row.path, data_dir)})
    return text.getvalue()


def write_manifest(file: Path, rows: Sequence[ManifestRow], data_dir: Path | None = None) -> None:
    """Write a manifest; a kill or a full disk leaves what the file held before.

    Raises:
        DataError: an image lies outside ``data_dir``, or the file cannot be written.
    """
    text = manifest_text(rows, data_dir)
    temporary = file.with_name(f".writing-{os.getpid()}-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{file}: could not be written ({error.strerror or error})") from error


def read_manifest(file: Path, data_dir: Path | None = None) -> list[ManifestRow]:
    """Read and check a manifest; the images themselves are not opened.

    Args:
        file: CSV as :func:`write_manifest` writes it; other columns are ignored.
        data_dir: relative paths are taken from here; they stay relative where ``None``.

    Raises:
        DataError: not such a file, or it has faulty rows, a path twice, or a patient or the same bytes under
            two roles or two labels; every fault is named and counted.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{file}: not a manifest, the columns {', '.join(missing)} are missing")
            lines = [(reader.line_num, record) for record in reader]
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    if not lines:
        raise DataError(f"{file}: the manifest has no rows")
    rows: list[ManifestRow] = []
    faults: list[str] = []
    for number, record in lines:
        try:
            rows.append(_row(record, data_dir))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    faults += conflicts(rows)
    if faults:
        raise DataError(f"{file}: {len(faults)} faults; the manifest cannot be used:\n  " + _listing(faults))
    return rows


def manifest_hash(rows: Sequence[ManifestRow]) -> str:
    """SHA-256 over (image hash, label, role) of every row: the same data gives the same hash anywhere."""
    lines = sorted(f"{row.sha256},{row.label.value},{row.role.value}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def conflicts(rows: Sequence[ManifestRow]) -> list[str]:
    """What would spoil an evaluation on these rows, one sentence each; empty where nothing would."""
    found = [f"{paths[0].path}: listed {len(paths)} times" for paths in _groups(rows, lambda r: str(r.path)).values()]
    for patient, group in _groups(rows, lambda r: r.patient).items():
        if len({row.role for row in group}) > 1:
            found.append(f"patient {patient} is on both sides: {_by_role(group)}")
        elif len({row.fold for row in group}) > 1:
            found.append(f"patient {patient} is in folds {', '.join(sorted({str(row.fold) for row in group}))}")
    for group in _groups(rows, lambda r: r.sha256).values():
        names = " and ".join(str(row.path) for row in group)
        if len({row.role for row in group}) > 1:
            found.append(f"the same bytes are on both sides: {names} ({_by_role(group)})")
        if len({row.label for row in group}) > 1:
            found.append(f"the same bytes have two labels: {names}")
    return found


def _groups(rows: Sequence[ManifestRow], key: Callable[[ManifestRow], str]) -> dict[str, list[ManifestRow]]:
    groups: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return {name: group for name, group in groups.items() if len(group) > 1}


def _by_role(group: Sequence[ManifestRow]) -> str:
    counts = {role: sum(row.role is role for row in group) for role in Role}
    return ", ".join(f"{count} in {role}" for role, count in counts.items() if count)


def _row(record: Mapping[str | None, str | None], data_dir: Path | None) -> ManifestRow:
    values = {name: (record.get(name) or "").strip() for name in COLUMNS}
    for name in ("path", "patient"):
        if not values[name]:
            raise ValueError(f"no {name}")
    for name, allowed in (("label", list(Label)), ("role", list(Role)), ("subtype", ["", *SUBTYPES])):
        if values[name] not in allowed:
            raise ValueError(f"{values['path']}: {name} '{values[name]}' is none of {', '.join(filter(None, allowed))}")
    if values["subtype"] and (values["subtype"] == "NORMAL") != (values["label"] == "NORMAL"):
        raise ValueError(f"{values['path']}: subtype {values['subtype']} under the label {values['label']}")
    if not _SHA256.match(values["sha256"]):
        raise ValueError(f"{values['path']}: sha256 '{values['sha256']}' is not 64 hex digits in lower case")
    if values["fold"] and not values["fold"].isdecimal():
        raise ValueError(f"{values['path']}: fold '{values['fold']}' is not a whole number from 0")
    return ManifestRow(
        _read_path(values["path"], data_dir),
        Label(values["label"]),
        values["subtype"] or None,
        values["patient"],
        values["sha256"],
        Role(values["role"]),
        int(values["fold"]) if values["fold"] else None,
    )


def _read_path(text: str, data_dir: Path | None) -> Path:
    path = Path(text)
    if path.is_absolute() or data_dir is None:
        return path
    if ".." in PurePosixPath(text.replace("\\", "/")).parts:
        raise ValueError(f"{text}: points outside the data folder")
    return data_dir / path


def _written_path(path: Path, data_dir: Path | None) -> str:
    if data_dir is None:
        return str(path)
    try:
        return path.relative_to(data_dir).as_posix()
    except ValueError:
        raise DataError(f"{path}: lies outside the data folder {data_dir}; a manifest covers one folder") from None


def _listing(faults: Sequence[str]) -> str:
    more = [f"... and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
    return "\n  ".join([*faults[:_LISTED], *more])
