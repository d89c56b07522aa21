"""A run folder: what training writes, and how it survives a kill at any moment.

::

    RUN/
      run.json        recipe, seed, backend, versions, hash of the manifest; written once
      manifest.csv    path, label, subtype, patient, sha256, role, fold of every image
      log.csv         one line an epoch
      last-NNNN.keras network and optimizer after epoch NNNN, the last that log.csv has
      best.keras      the finished network: the weights after the last epoch, or the members joined
      out-of-fold.csv log odds of each image by a network that was not trained on its patient
      shortcut.csv    shortcut score of each image of the largest source, by SHA-256
      fold-K/         the run of member K, where a recipe has members
      tensorboard/    the log again, for TensorBoard

Every file is written beside its place and moved there, so that a kill leaves the previous one. An epoch counts
once log.csv has it: its checkpoint is written before and the one before it removed after.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumoscope.datasets.manifest import manifest_hash, manifest_text, read_manifest
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import TrainingError
from pneumoscope.files import fill_atomically
from pneumoscope.training.recipe import Recipe, recipe_from_values

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``log.csv``.

    Attributes:
        epoch: counted from 1.
        size: of the training images, pixels.
        loss: mean training loss.
        grouped_nll: class-balanced negative log likelihood (nats) on the grouped validation.
        grouped_auc: area under the ROC curve there.
        ordered_nll: the same on the time-ordered slice; NaN where there is none.
        ordered_auc: the same on the time-ordered slice.
        learning_rate: after the epoch's last step.
        seconds: the epoch took, validation included.
    """

    epoch: int
    size: int
    loss: float
    grouped_nll: float
    grouped_auc: float
    ordered_nll: float
    ordered_auc: float
    learning_rate: float
    seconds: float


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "run.json"
        self.manifest = path / "manifest.csv"
        self.log = path / "log.csv"
        self.best = path / "best.keras"
        self.out_of_fold = path / "out-of-fold.csv"
        self.shortcut = path / "shortcut.csv"
        self.tensorboard = path / "tensorboard"

    def member(self, fold: int) -> RunFolder:
        """The run of the network that was not trained on this fold."""
        return RunFolder(self.path / f"fold-{fold}")

    def last(self, epochs: int) -> Path:
        """The checkpoint after so many epochs."""
        return self.path / f"last-{epochs:04d}.keras"

    def best_epoch(self) -> int:
        """The epoch that ``best.keras`` holds, counted from 1: the last one.

        It is not chosen by validation: on this data random patients, and any slice of them, rank networks wrongly.

        Raises:
            TrainingError: training has not ended.
        """
        epochs, finished = self.read_settings()[0].epochs, len(self.read_log())
        if not finished or not self.best.is_file():
            raise TrainingError(f"{self.path}: has {finished} of {epochs} epochs; train on with --resume")
        return epochs

    def load_best(self) -> keras.Model:
        """The network with its best weights.

        Raises:
            TrainingError: there are none yet, or the file is damaged.
        """
        import keras

        import pneumoscope.training.networks  # noqa: F401  (registers the layers that the file names)

        self.best_epoch()
        try:
            return keras.models.load_model(self.best, compile=False)
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.best}: cannot be read ({error})") from error

    def write_settings(self, recipe: Recipe, seed: int, extra: dict[str, Any]) -> None:
        """Write ``run.json``."""
        text = json.dumps({"recipe": dataclasses.asdict(recipe), "seed": seed, **extra}, indent=2) + "\n"
        fill_atomically(self.settings, lambda file: _write_text(file, text))

    def read_settings(self) -> tuple[Recipe, int, dict[str, Any]]:
        """Recipe, seed and the whole of ``run.json``.

        Raises:
            TrainingError: not a run folder.
        """
        if not self.settings.is_file():
            raise TrainingError(
                f"{self.path}: not a run folder: it holds no {self.settings.name}; give the folder that "
                "`pneumoscope train --out` wrote"
            )
        try:
            values = json.loads(self.settings.read_text("utf-8"))
            return recipe_from_values(values["recipe"], "recipe"), int(values["seed"]), values
        except (OSError, ValueError, KeyError, TypeError, AttributeError, TrainingError) as error:
            raise TrainingError(
                f"{self.settings}: not as `pneumoscope train` wrote it ({error}); train again"
            ) from error

    def write_manifest(self, rows: Sequence[LabelledImage]) -> None:
        """Write ``manifest.csv``."""
        fill_atomically(self.manifest, lambda file: _write_text(file, manifest_text(rows)))

    def read_manifest(self) -> list[LabelledImage]:
        """Read ``manifest.csv``."""
        return read_manifest(self.manifest)

    def manifest_hash(self) -> str:
        """SHA-256 over (image hash, label, role) of every row: the same data gives the same hash anywhere."""
        return manifest_hash(self.read_manifest())

    def write_log(self, records: Sequence[EpochRecord]) -> None:
        """Write ``log.csv``."""
        fill_atomically(self.log, lambda file: _write_csv(file, [dataclasses.asdict(r) for r in records]))

    def read_log(self) -> list[EpochRecord]:
        """Read ``log.csv``; empty where no epoch was finished."""
        if not self.log.exists():
            return []
        with self.log.open(newline="", encoding="utf-8") as stream:
            return [
                EpochRecord(
                    int(row.pop("epoch")), int(row.pop("size")), **{name: float(value) for name, value in row.items()}
                )
                for row in csv.DictReader(stream)
            ]


def _write_text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def _write_csv(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
