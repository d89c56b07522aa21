"""A plain folder of labelled images under any names: nothing is known of its patients, nor of their order in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pneumoscope.datasets.layout import Split, scan_layout
from pneumoscope.datasets.source import LabelledImage, Origin, Scan
from pneumoscope.labels import Label, Subtype


@dataclass(frozen=True)
class FolderSource:
    """A folder in the layout of :mod:`pneumoscope.datasets.layout`, of which only the classes are known.

    Every file counts as a patient of its own, and whether patients leak stays unknown.

    Attributes:
        folder: the data folder.
        splits: which split folders; ``None`` for a folder that holds the two classes directly.
        origin: population, licence and citation, where somebody says.
    """

    folder: Path
    splits: Split | str | Iterable[Split | str] | None = None
    origin: Origin | None = None

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def scan(self) -> Scan:
        """List the images and every fault of the layout."""
        return scan_layout(self.folder, self.splits, self._describe)

    def _describe(self, path: Path, label: Label, split: str | None) -> LabelledImage:
        subtype = Subtype.NORMAL.value if label is Label.NORMAL else None
        return LabelledImage(path, label, subtype, path.stem, patient_known=False, split=split, origin=self.origin)
