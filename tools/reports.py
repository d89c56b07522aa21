"""Writes the report of every shipped model on the time-ordered slice to ``reports/NAME/ordered/``.

    PNEUMOSCOPE_DATA=DATA python tools/reports.py [MODEL.tflite ...]

Without arguments all models are judged, those of the package and those in models/. The slice is the one that
``pneumoscope data split`` makes from DATA/chest_xray_224, and the model's contract must say that it was trained on that
very split. No radiograph is written; data, model and training log go by relative names, so that the command in the
report can be typed again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from pneumoscope.cli.main import cli
from pneumoscope.datasets.manifest import manifest_hash, read_manifest
from pneumoscope.model.packaging import read_package

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
SHIPPED = (ROOT / "src" / "pneumoscope" / "models", ROOT / "models")
DATA, MANIFEST, LOG, OUT = "chest_xray_224", "split.csv", "log.csv", "ordered"


def pneumoscope(*words: str) -> int:
    """Run a command line in this process; its exit status."""
    status = cli.main(args=list(words), prog_name="pneumoscope", standalone_mode=False)
    return status if isinstance(status, int) else 0


def write_report(model: Path) -> int:
    """Judge the slice with one model, in the working folder that :func:`main` has prepared.

    Returns:
        0, or 1 if an image was refused.

    Raises:
        SystemExit: the model was trained on another split.
    """
    contract = read_package(model).contract
    trained_on, found = contract.provenance.manifest_sha256, manifest_hash(read_manifest(Path(MANIFEST)))
    if trained_on != found:
        sys.exit(f"{model}: was trained on the split {trained_on[:12]}..., this data gives {found[:12]}...")
    name = contract.name
    shutil.copyfile(model, f"{name}.tflite")
    words = ["--data", DATA, "--manifest", MANIFEST, "--split", "ordered", "--model", f"{name}.tflite"]
    log = REPORTS / name / LOG
    # A joined model's log has one line, which makes no curve.
    if log.exists() and len(log.read_text("utf-8").splitlines()) > 2:
        shutil.copyfile(log, LOG)
        words += ["--run", LOG]
    status = pneumoscope(
        "evaluate", *words, "--explanations", "--shortcuts", "--no-images", "--jobs", "2", "--out", OUT
    )
    shutil.rmtree(REPORTS / name / OUT, ignore_errors=True)
    shutil.move(OUT, REPORTS / name / OUT)
    print(f"written: reports/{name}/{OUT}")
    return status


def _each_once() -> list[Path]:
    """Every shipped model; the built-in one may lie in ``models/`` too."""
    files = [file for folder in SHIPPED for file in sorted(folder.glob("*.tflite"))]
    return list({file.read_bytes(): file for file in reversed(files)}.values())


def main(arguments: list[str]) -> int:
    """Prepare a working folder with relative names, then judge with every model."""
    data = Path(os.environ["PNEUMOSCOPE_DATA"]).resolve()
    models = [Path(argument).resolve() for argument in arguments] or _each_once()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(DATA).symlink_to(data / DATA)
        pneumoscope("data", "split", DATA, "--out", MANIFEST)
        return max(write_report(model) for model in models)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
