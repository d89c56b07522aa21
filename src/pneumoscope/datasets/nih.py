"""NIH ChestX-ray14: adults, with labels mined from reports and, for some, the reading of RSNA's radiologists.

Wang et al., *ChestX-ray8*, CVPR 2017, doi 10.1109/CVPR.2017.369; Shih et al., *Augmenting the NIH chest radiograph
dataset with expert annotations of possible pneumonia*, Radiology: Artificial Intelligence 1 (2019), doi
10.1148/ryai.2019180041.

A folder of this source holds ``images/`` and ``labels.csv`` with the columns of :data:`COLUMNS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumoscope.datasets.source import LabelledImage, Origin, Scan
from pneumoscope.errors import DataError
from pneumoscope.files import read_csv
from pneumoscope.labels import Label, Subtype
from pneumoscope.model.contract import Population

COLUMNS: Final = ("file", "patient", "age", "view", "nih_findings", "rsna_class")
LABELS: Final = "labels.csv"
IMAGES: Final = "images"

NIH: Final = Origin(
    name="nih",
    title="NIH ChestX-ray14, a sample of adults",
    population=Population(
        "patients of one hospital (NIH Clinical Center), most of them adults, frontal views", ages=((18, 120),)
    ),
    licence="free use with attribution to the NIH Clinical Center",
    citation=(
        "Wang X et al. ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks. CVPR 2017. "
        "doi 10.1109/CVPR.2017.369. Readings: Shih G et al. Radiology: Artificial Intelligence 1 (2019). "
        "doi 10.1148/ryai.2019180041."
    ),
)

_RSNA_NORMAL: Final = "Normal"
_RSNA_OPACITY: Final = "Lung Opacity"
_PNEUMONIA_FINDINGS: Final = frozenset({"Pneumonia", "Consolidation"})
_NO_FINDING: Final = "No Finding"


def reading(findings: str, rsna_class: str) -> Label | None:
    """What a radiograph shows, by radiologists where they read it and by its report otherwise.

    Args:
        findings: NIH's, mined from the report; several are joined by ``|``.
        rsna_class: ``Normal``, ``No Lung Opacity / Not Normal``, ``Lung Opacity``, or empty where nobody read it again.

    Returns:
        Pneumonia for RSNA's opacity, and for NIH's pneumonia or consolidation unless RSNA says normal; normal for
        RSNA's normal, and for NIH's "No Finding" where RSNA says nothing; ``None`` for all else, which is neither.
    """
    if rsna_class == _RSNA_NORMAL:
        return Label.NORMAL
    if rsna_class == _RSNA_OPACITY or _PNEUMONIA_FINDINGS & set(findings.split("|")):
        return Label.PNEUMONIA
    return Label.NORMAL if findings == _NO_FINDING and not rsna_class else None


@dataclass(frozen=True)
class NihSource:
    """The folder of a sample of NIH ChestX-ray14.

    Attributes:
        folder: holds ``images/`` and ``labels.csv``.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def origin(self) -> Origin:
        """Adults of the NIH Clinical Center."""
        return NIH

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether a folder holds a sample of this source."""
        file = folder / LABELS
        if not file.is_file():
            return False
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            return set(COLUMNS) <= set(stream.readline().strip().split(","))

    def scan(self) -> Scan:
        """The images that :func:`reading` says a class of; patients' keys start with ``nih-``."""
        labelled = ((row, reading(row["nih_findings"], row["rsna_class"])) for row in self._rows())
        return Scan(tuple(self._image(row, label) for row, label in labelled if label is not None))

    def neither(self) -> tuple[Path, ...]:
        """Radiographs with other findings: neither normal nor pneumonia, and what a detector meets in practice."""
        rows = self._rows()
        return tuple(self._file(row) for row in rows if reading(row["nih_findings"], row["rsna_class"]) is None)

    def _rows(self) -> list[dict[str, str]]:
        file = read_csv(self.folder / LABELS)
        if missing := file.missing(COLUMNS):
            raise DataError(f"{self.folder / LABELS}: no labels of NIH ChestX-ray14, no column {', '.join(missing)}")
        return [row for _, row in file.rows]

    def _file(self, row: dict[str, str]) -> Path:
        return self.folder / IMAGES / row["file"]

    def _image(self, row: dict[str, str], label: Label) -> LabelledImage:
        return LabelledImage(
            self._file(row),
            label,
            Subtype.NORMAL.value if label is Label.NORMAL else None,
            f"{NIH.name}-{row['patient']}",
            origin=NIH,
            age=float(row["age"]) if row["age"].isdecimal() else None,
            view=row["view"] or None,
        )
