"""Compares the page's engine (in Node) with Python on the same files, and writes reports/device-agreement.json.

    python tools/page_agreement.py --data DATA [--model FILE]

Files: every picture of DATA/native, every fortieth of DATA/adults_nih if there, the radiographs of pydicom-data, and
the golden files. Needs Node and `make app`. Only counts and differences are written: no path, no name of a patient.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.data import get_testdata_file

from pneumoscope.model.classifier import load_model

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "device-agreement.json"
BUILT_IN = ROOT / "src" / "pneumoscope" / "models" / "builtin.tflite"
DICOM_SAMPLES = ("RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm", "RG3_UNCR.dcm", "RG3_J2KR.dcm")
DETAIL = "damaged or cut short"
"""What a library says about damage differs; what is compared ends here."""


def groups(data: Path) -> Iterator[tuple[str, list[Path]]]:
    """Name and files of every group that is there."""
    yield "native radiographs of children", sorted((data / "native").rglob("*.jpeg"))
    yield "radiographs of adults (every 40th)", sorted((data / "adults_nih" / "images").glob("*.jpeg"))[::40]
    samples = [get_testdata_file(name) for name in DICOM_SAMPLES]
    yield "real DICOM files (pydicom-data)", [Path(str(file)) for file in samples if file]
    golden = ROOT / "app" / "engine" / "test" / "golden"
    in_browsers = {".json", ".webp", ".bmp", ".gif"}
    yield "golden files", sorted(file for file in golden.iterdir() if file.suffix not in in_browsers)


def from_python(model_file: Path, files: list[Path]) -> list[dict[str, Any]]:
    """Records with the hash of the pixels, by Python."""
    model = load_model(model_file)
    records = []
    for examined in model.examine_many(files):
        pixels = None
        if examined.radiograph is not None:
            pixels = hashlib.sha256(examined.radiograph.pixels.tobytes()).hexdigest()
        records.append({**examined.prediction.as_dict(), "pixels": pixels})
    return records


def from_node(model_file: Path, files: list[Path]) -> list[dict[str, Any]]:
    """The same by the engine."""
    command = ["node", "--conditions=source", "--import", "tsx", "tools/examine.ts", str(model_file)]
    names = "".join(f"{file}\n" for file in files)
    done = subprocess.run(  # noqa: S603 - our own script
        command, input=names, capture_output=True, text=True, check=True, cwd=ROOT / "app"
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(python: list[dict[str, Any]], node: list[dict[str, Any]]) -> dict[str, Any]:
    """What agrees, counted, and the largest difference of a score."""
    pairs = list(zip(python, node, strict=True))
    scores = [abs(a["probability"] - b["probability"]) for a, b in pairs if a["probability"] and b["probability"]]

    def same(key: str) -> int:
        return sum(_plain(a.get(key)) == _plain(b.get(key)) for a, b in pairs)

    return {
        "n": len(pairs),
        "judged": len(scores),
        "same_pixels": same("pixels"),
        "same_status": same("status"),
        "same_label": same("label"),
        "same_reasons": same("reasons"),
        "same_notes": same("notes"),
        "same_prediction_set": same("prediction_set"),
        "largest_difference": max(scores, default=None),
        "differing": sorted({Path(a["path"]).name for a, b in pairs if _key(a) != _key(b)}),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [text[: text.index(DETAIL) + len(DETAIL)] if DETAIL in text else text for text in value]
    return value


def _key(record: dict[str, Any]) -> list[Any]:
    return [_plain(record.get(key)) for key in ("pixels", "status", "label", "reasons", "notes", "prediction_set")]


def main(arguments: list[str]) -> int:
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=BUILT_IN)
    given = parser.parse_args(arguments)
    given.model = given.model.resolve()
    info = load_model(given.model).info
    report: dict[str, Any] = {
        "model": {"name": info.name, "version": info.version, "sha256": info.sha256},
        "groups": {},
    }
    for name, files in groups(given.data):
        if files:
            found = compare(from_python(given.model, files), from_node(given.model, files))
            if name != "golden files":
                found["differing"] = len(found["differing"])  # names of patients' files stay here
            report["groups"][name] = found
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
