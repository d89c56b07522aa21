"""An export end to end on phantoms: the same run gives the same bytes, and what fails leaves nothing half."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import ExportError, PneumoscopeError
from pneumoscope.export import exporter as one_file
from pneumoscope.export import parity
from pneumoscope.export.exporter import Exported, export_run
from pneumoscope.export.forms import ExportFormat
from pneumoscope.labels import Label
from pneumoscope.model.classifier import load_model
from pneumoscope.model.contract import Quantization
from pneumoscope.training.networks import build_network
from pneumoscope.training.out_of_fold import OutOfFold, write_out_of_fold
from pneumoscope.training.recipe import Stage
from pneumoscope.training.run_folder import EpochRecord, RunFolder
from support import phantom
from support.tiny_data import TINY, write_tiny_data

pytestmark = pytest.mark.slow

RECIPE = dataclasses.replace(TINY, stages=(Stage(1, 224),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What training would leave, with random weights: batch statistics fit, nothing learned."""
    import keras

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    rows = assign_roles(find_images(write_tiny_data(folder / "data", patients=40), ["train"]))
    run = RunFolder(folder)
    run.write_manifest(rows)
    run.write_settings(RECIPE, 0, {"manifest_sha256": run.manifest_hash(), "versions": {"keras": keras.__version__}})
    run.write_log([EpochRecord(1, 224, 1.0, 1.0, 0.5, 1.0, 0.5, 1e-3, 1.0)])
    network = build_network(RECIPE.network, classes=3)
    chests = np.stack([phantom.chest_phantom(224, seed, opacity=seed % 2) for seed in range(6)])
    for _ in range(30):
        network(chests[..., None].astype(np.float32), training=True)
    network.save(run.best)
    rng = np.random.default_rng(0)
    positive = np.array([row.label is Label.PNEUMONIA for row in rows])
    write_out_of_fold(
        run.out_of_fold,
        OutOfFold(
            paths=tuple(row.path.name for row in rows),
            sources=("kermany",) * len(rows),
            positive=positive,
            subtypes=tuple(row.subtype or "" for row in rows),
            patients=tuple(row.patient for row in rows),
            folds=np.zeros(len(rows), np.intp),
            logits=rng.normal(np.where(positive, 1, -1), 1),
            shortcut=np.full(len(rows), np.nan),
        ),
    )
    return run


def roles(rows: list[LabelledImage]) -> int:
    return sum(row.role in (Role.GROUPED, Role.ORDERED) for row in rows)


@pytest.fixture(scope="module")
def exported(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    out = tmp_path_factory.mktemp("out")
    return out, export_run(run, out, [Quantization.FLOAT32], [ExportFormat.LITERT, ExportFormat.MEDIAPIPE])


def test_everything_promised_is_there(run: RunFolder, exported: tuple[Path, Exported]) -> None:
    out, result = exported
    assert sorted(path.name for path in out.iterdir()) == [
        "out-of-fold.json",
        "parity.html",
        "parity.json",
        "tiny-float32-mediapipe.tflite",
        "tiny-float32.tflite",
    ]
    record = json.loads((out / "parity.json").read_text())
    assert record["notice"] == "Research use only. Not a medical device."
    assert [(one["form"], one["broken"]) for one in record["exports"]] == [("litert", []), ("mediapipe", [])]
    assert record["exports"][0]["n"] == roles(run.read_manifest())
    assert len(record["exports"][0]["metrics"]["auc"]["ci95_bootstrap"]) == 2
    model = load_model(result.models[ExportFormat.LITERT, Quantization.FLOAT32])
    assert "differs from that of the Keras network" in model.card
    assert str(run.path) not in (out / "parity.json").read_text() + model.card


def test_the_same_run_gives_the_same_bytes(run: RunFolder, exported: tuple[Path, Exported], tmp_path: Path) -> None:
    _, first = exported
    again = export_run(run, tmp_path, [Quantization.FLOAT32], [ExportFormat.LITERT, ExportFormat.MEDIAPIPE])
    for key, file in first.models.items():
        assert again.models[key].read_bytes() == file.read_bytes()
    assert (tmp_path / "parity.json").read_bytes() == (exported[0] / "parity.json").read_bytes()


def test_a_broken_limit_fails_the_export_and_writes_no_model(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = dataclasses.replace(parity.LIMITS[Quantization.FLOAT32], heatmap_correlation=1.1)
    monkeypatch.setattr(parity, "LIMITS", {Quantization.FLOAT32: strict})
    with pytest.raises(ExportError, match="median heatmap correlation"):
        export_run(run, tmp_path, [Quantization.FLOAT32], [ExportFormat.LITERT])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parity.html", "parity.json"]
    (one,) = json.loads((tmp_path / "parity.json").read_text())["exports"]
    assert "median heatmap correlation" in one["broken"][0]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_export_that_is_stopped_leaves_no_half_file(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def stopped(descriptor: int) -> None:
        raise failure

    made = one_file._Export(run, tmp_path)  # all but the writing
    monkeypatch.setattr(os, "fsync", stopped)
    expected: Any = PneumoscopeError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        made.write_one_file(made.graph_for(Quantization.FLOAT32), ExportFormat.LITERT, Quantization.FLOAT32)
    assert not list(tmp_path.iterdir())
