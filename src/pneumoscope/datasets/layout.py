"""A folder of labelled radiographs: ``train|val|test/NORMAL|PNEUMONIA/*`` or ``NORMAL|PNEUMONIA/*``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from pneumoscope.datasets.source import LabelledImage, Scan
from pneumoscope.errors import DataError
from pneumoscope.imaging.search import IMAGE_ENDINGS, why_not
from pneumoscope.labels import Label

__all__ = ["IMAGE_ENDINGS", "Split", "describe_left_out", "official_splits", "scan_layout"]

_LISTED = 8


class Split(StrEnum):
    """The official splits, named as their folders are."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


Describe = Callable[[Path, Label, str | None], LabelledImage]
"""Says what is known of a file of a class, found in a split folder or directly."""


def scan_layout(data_dir: Path, splits: Split | str | Iterable[Split | str] | None, describe: Describe) -> Scan:
    """List a data folder and every fault of its layout.

    Args:
        data_dir: a folder in the layout above.
        splits: which official split or splits; ``None`` for a folder that holds the two classes directly.
        describe: what a source knows of each file.

    Raises:
        DataError: there is no such folder.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; give a folder that holds train/NORMAL, train/PNEUMONIA, ...")
    if isinstance(splits, str):
        splits = [splits]
    names = [None] if splits is None else [str(split) for split in splits]
    images: list[LabelledImage] = []
    problems: list[str] = []
    left_out: list[Path] = []
    for name in names:
        folder = data_dir if name is None else data_dir / name
        if not folder.is_dir():
            problems.append(f"{data_dir}: has no split '{name}' ({_what_is_there(data_dir)})")
            continue
        for label in Label:
            class_dir = folder / label.value
            if not class_dir.is_dir():
                problems.append(f"{folder}: the class folder {label.value} is missing ({_what_is_there(folder)})")
                continue
            files, others = _class_files(class_dir)
            problems.extend(_unwritable_names([*files, *others]))
            files, others = list(filter(_is_text, files)), list(filter(_is_text, others))
            left_out.extend(others)
            if not files:
                problems.append(f"{class_dir}: holds no images ({_what_is_there(class_dir)}), by ending or by content")
            images.extend(describe(file, label, name) for file in files)
        problems.extend(_unknown_classes(folder))
    return Scan(tuple(images), tuple(problems), tuple(left_out))


def official_splits(data_dir: Path) -> tuple[Split, ...] | None:
    """The split folders that are there, or ``None`` where there is none (the classes may lie there directly)."""
    return tuple(split for split in Split if (data_dir / split.value).is_dir()) or None


def describe_left_out(paths: Sequence[Path]) -> str:
    """One sentence on the files that are no images."""
    more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    return f"{len(paths)} entries are no images and were left out: {', '.join(map(str, paths[:_LISTED]))}{more}"


def _class_files(class_dir: Path) -> tuple[list[Path], list[Path]]:
    files: list[Path] = []
    others: list[Path] = []
    for entry in sorted(class_dir.iterdir()):
        # Hidden files are not images even where they end like one: macOS writes "._name.jpeg" beside each.
        (files if not entry.is_dir() and why_not(entry) is None else others).append(entry)
    return files, others


def _is_text(path: Path) -> bool:
    """Whether a name can be written into a table: names on Unix are bytes, and some are no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _unwritable_names(paths: Iterable[Path]) -> list[str]:
    return [f"{str(path)!a}: its name is not UTF-8; rename it" for path in paths if not _is_text(path)]


def _unknown_classes(folder: Path) -> list[str]:
    """Folders of images that are no class known here: their images must not be passed over in silence."""
    known = {label.value for label in Label} | {split.value for split in Split}
    others = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith((".", "__"))]
    return [
        f"{folder}: the folder {entry.name} is no class known here ({', '.join(Label)}); move it elsewhere"
        for entry in others
        if entry.name not in known and _class_files(entry)[0]
    ]


def _what_is_there(folder: Path) -> str:
    names = sorted(child.name + ("/" if child.is_dir() else "") for child in folder.iterdir())
    if not names:
        return "the folder is empty"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"it holds {', '.join(names[:_LISTED])}{more}"
