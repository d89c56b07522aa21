"""Manifests: which image is used for what, as a CSV file instead of copied folders.

One row an image, with the columns :data:`COLUMNS`. Paths are relative to the data folder, so that a manifest can be
handed on, or absolute. A manifest that puts one patient, or the same
bytes, on two sides is refused when it is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pneumoscope.datasets.kermany import KERMANY, parse_name
from pneumoscope.datasets.registry import ORIGINS
from pneumoscope.datasets.source import LabelledImage, Origin, Role
from pneumoscope.errors import DataError, PneumoscopeError
from pneumoscope.files import read_csv, write_atomically, written_cell
from pneumoscope.labels import SUBTYPE_NAMES, Label
from pneumoscope.model.contract import Population

_REQUIRED = ("path", "label", "subtype", "patient", "sha256", "role")
COLUMNS = (
    *("path", "label", "subtype", "patient", "patient_known", "source", "sha256", "role", "fold"),
    *("shortcut", "conflicting"),
)
"""Without ``patient_known``, ``source``, ``fold``, ``shortcut`` and ``conflicting``, which came later, patients are
known, the source shows in the names, and folds and shortcut scores are unknown."""
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_LISTED = 20


def manifest_text(rows: Sequence[LabelledImage], data_dir: Path | None = None) -> str:
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
        writer.writerow(
            {
                "path": written_cell(_written_path(row.path, data_dir)),
                "label": row.label,
                "subtype": row.subtype,
                "patient": written_cell(row.patient),
                "sha256": row.sha256,
                "role": row.role,
                "patient_known": "yes" if row.patient_known else "no",
                "source": "" if row.origin is None else row.origin.name,
                "fold": row.fold,
                "shortcut": "" if row.shortcut is None else f"{row.shortcut:.5f}",
                "conflicting": {None: "", True: "yes", False: "no"}[row.conflicting],
            }
        )
    return text.getvalue()


def write_manifest(file: Path, rows: Sequence[LabelledImage], data_dir: Path | None = None) -> None:
    """Write a manifest; a kill or a full disk leaves what the file held before.

    Raises:
        DataError: an image lies outside ``data_dir``, or the file cannot be written.
    """
    content = manifest_text(rows, data_dir).encode()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    except OSError as error:
        raise DataError(f"{file}: could not be written ({error.strerror or error})") from error
    except PneumoscopeError as error:
        raise DataError(str(error)) from error


def read_manifest(file: Path, data_dir: Path | None = None) -> list[LabelledImage]:
    """Read and check a manifest; the images themselves are not opened.

    Args:
        file: CSV as :func:`write_manifest` writes it; other columns are ignored.
        data_dir: relative paths are taken from here; they stay relative where ``None``.

    Raises:
        DataError: not such a file, or it has faulty rows, a path twice, or a patient or the same bytes under
            two roles or two labels; every fault is named and counted.
    """
    table = read_csv(file)
    if missing := table.missing(_REQUIRED):
        raise DataError(f"{file}: not a manifest, the columns {', '.join(missing)} are missing")
    if not table.rows:
        raise DataError(f"{file}: the manifest has no rows")
    rows: list[LabelledImage] = []
    faults: list[str] = []
    for number, record in table.rows:
        try:
            rows.append(_row(record, data_dir))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    faults += conflicts(rows)
    if faults:
        raise DataError(f"{file}: {len(faults)} faults; the manifest cannot be used:\n  " + _listing(faults))
    return rows


def manifest_hash(rows: Sequence[LabelledImage]) -> str:
    """SHA-256 over (image hash, label, role) of every row: the same data gives the same hash anywhere."""
    lines = sorted(f"{row.sha256},{row.label.value},{row.role}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def conflicts(rows: Sequence[LabelledImage]) -> list[str]:
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


def _groups(rows: Sequence[LabelledImage], key: Callable[[LabelledImage], str]) -> dict[str, list[LabelledImage]]:
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return {name: group for name, group in groups.items() if len(group) > 1}


def _by_role(group: Sequence[LabelledImage]) -> str:
    counts = {role: sum(row.role is role for row in group) for role in Role}
    return ", ".join(f"{count} in {role}" for role, count in counts.items() if count)


def _row(record: Mapping[str, str], data_dir: Path | None) -> LabelledImage:
    values = {name: record.get(name, "") for name in COLUMNS}
    for name in ("path", "patient"):
        if not values[name]:
            raise ValueError(f"no {name}")
    for name, allowed in (("label", list(Label)), ("role", list(Role)), ("subtype", ["", *SUBTYPE_NAMES])):
        if values[name] not in allowed:
            raise ValueError(f"{values['path']}: {name} '{values[name]}' is none of {', '.join(filter(None, allowed))}")
    if values["subtype"] and (values["subtype"] == "NORMAL") != (values["label"] == "NORMAL"):
        raise ValueError(f"{values['path']}: subtype {values['subtype']} under the label {values['label']}")
    if not _SHA256.match(values["sha256"]):
        raise ValueError(f"{values['path']}: sha256 '{values['sha256']}' is not 64 hex digits in lower case")
    if values["fold"] and not values["fold"].isdecimal():
        raise ValueError(f"{values['path']}: fold '{values['fold']}' is not a whole number from 0")
    if values["conflicting"] not in ("", "yes", "no"):
        raise ValueError(f"{values['path']}: conflicting '{values['conflicting']}' is neither yes nor no")
    path = _read_path(values["path"], data_dir)
    return LabelledImage(
        path,
        Label(values["label"]),
        values["subtype"] or None,
        values["patient"],
        values["sha256"],
        Role(values["role"]),
        int(values["fold"]) if values["fold"] else None,
        patient_known=values["patient_known"] != "no",
        origin=_origin(values["source"]) if "source" in record else _origin_by_name(path),
        shortcut=_share(values["path"], values["shortcut"]),
        conflicting={"": None, "yes": True, "no": False}[values["conflicting"]],
    )


def _share(path: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{path}: shortcut '{text}' is not a number from 0 to 1")
    return value


def _origin(name: str) -> Origin | None:
    """A known data set, or one of which the manifest says no more than its name."""
    if not name:
        return None
    return ORIGINS.get(name) or Origin(name, name, Population(f"of the data set '{name}', not described"), "", "")


def _origin_by_name(path: Path) -> Origin | None:
    """Manifests without the column are of the time when there was one data set beside plain folders."""
    return KERMANY if parse_name(path.stem) else None


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
