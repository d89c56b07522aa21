"""What the demo judges: two real DICOM files, and the radiographs under ``PNEUMOSCOPE_DATA``."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pneumoscope.datasets.registry import scan_folder
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.drawing.panel import SIDE
from pneumoscope.errors import DataError, MissingExtraError
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.labels import Label
from pneumoscope.model.classifier import Model
from pneumoscope.model.prediction import Prediction, Status

DATA_VARIABLE: Final = "PNEUMOSCOPE_DATA"
DATA_FOLDERS: Final = ("chest_xray_224/val", "native/val")
MOST_IMAGES: Final = 16
"""Of each folder, half of them of each class."""


class Expected(StrEnum):
    """What is known about a case beforehand."""

    CHEST = "a chest radiograph, to be judged"
    NOT_A_CHEST = "no chest radiograph, to be refused"
    NORMAL = "labelled NORMAL"
    PNEUMONIA = "labelled PNEUMONIA"


@dataclass(frozen=True)
class Source:
    """One input of the demo.

    Attributes:
        path: the file.
        group: heading it stands under.
        title: what the page calls it.
        expected: what is known about it.
    """

    path: Path
    group: str
    title: str
    expected: Expected


@dataclass(frozen=True, eq=False)
class Case:
    """One judged input.

    Attributes:
        source: the input.
        prediction: what the model says; its path is the source's title.
        image: the radiograph, or ``None`` where it could not be read.
    """

    source: Source
    prediction: Prediction
    image: Radiograph | None

    @property
    def as_expected(self) -> bool:
        """Whether the model says what is known: the label, or that it judges or refuses."""
        match self.source.expected:
            case Expected.CHEST:
                return self.prediction.status is Status.OK
            case Expected.NOT_A_CHEST:
                return self.prediction.status is Status.REFUSED
            case Expected.NORMAL | Expected.PNEUMONIA as label:
                return self.prediction.label == label.name

    @property
    def failed(self) -> bool:
        """Whether the demo itself failed here. A wrong label is the model's limit; these two are promises."""
        sample = self.source.expected in (Expected.CHEST, Expected.NOT_A_CHEST)
        return self.prediction.status is Status.ERROR or (sample and not self.as_expected)


def dicom_samples() -> tuple[Source, ...]:
    """The two DICOM files of the package ``pydicom-data``: a chest and a leg.

    Raises:
        MissingExtraError: pydicom or pydicom-data is not installed.
    """
    group = "Real DICOM files (package pydicom-data)"
    return (
        Source(_sample("RG1_UNCR.dcm"), group, "RG1_UNCR.dcm, an adult's chest", Expected.CHEST),
        Source(_sample("RG3_UNCR.dcm"), group, "RG3_UNCR.dcm, a leg", Expected.NOT_A_CHEST),
    )


def _sample(name: str) -> Path:
    try:
        data = importlib.import_module("pydicom.data")
    except ModuleNotFoundError as error:
        raise MissingExtraError("the demo", "demo") from error
    path: str | None = data.get_testdata_file(name, download=False)
    if path is None:
        raise MissingExtraError(f"the demo's DICOM file {name}", "demo")
    return Path(path)


def radiographs(root: Path, warn: Callable[[str], None]) -> tuple[Source, ...]:
    """The labelled radiographs of a data folder, at most :data:`MOST_IMAGES` of each of :data:`DATA_FOLDERS`.

    Args:
        root: the folder.
        warn: told once of each folder that is not there or not whole.
    """
    if not root.is_dir():
        warn(f"{DATA_VARIABLE}: {root} is not a folder; only the DICOM files are shown")
        return ()
    return tuple(source for folder in DATA_FOLDERS for source in _labelled(root, folder, warn))


def _labelled(root: Path, folder: str, warn: Callable[[str], None]) -> Iterator[Source]:
    try:
        found = scan_folder(root / folder)
    except DataError as error:
        warn(f"{DATA_VARIABLE}: {error}")
        return
    for problem in found.problems:
        warn(f"{DATA_VARIABLE}: {problem}")
    for label in Label:
        images = [image for image in found.images if image.label is label]
        yield from (_source(image, root, folder) for image in images[: MOST_IMAGES // len(Label)])


def _source(image: LabelledImage, root: Path, folder: str) -> Source:
    return Source(image.path, folder, image.path.relative_to(root).as_posix(), Expected[image.label.name])


def judge(model: Model, sources: tuple[Source, ...]) -> Iterator[Case]:
    """Judge the sources in order; what cannot be read becomes a case too."""
    for source in sources:
        examined = model.examine(source.path, target=SIDE)
        prediction, path = examined.prediction, str(source.path)
        reasons = tuple(reason.removeprefix(f"{path}: ") for reason in prediction.reasons)
        named = dataclasses.replace(prediction, path=source.title, reasons=reasons)
        yield Case(source, named, examined.radiograph)
