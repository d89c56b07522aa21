"""The committed reports are those of the shipped models, and hold figures and plots only."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest
import report_pages

from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.packaging import read_package

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted((ROOT / "src" / "pneumoscope" / "models").glob("*.tflite")) + sorted(ROOT.glob("models/*.tflite"))

_INLINE_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
_MACHINE_PATH = re.compile(r"""file:|\.\./|(?:^|[\s"'=(>,:])(?:/[\w.-]+){2,}|\b[A-Z]:\\""", re.MULTILINE)


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_has_its_report(model: Path) -> None:
    """`python tools/reports.py` writes them anew."""
    contract = read_package(model).contract
    folder = ROOT / "reports" / contract.name / "ordered"
    content = json.loads((folder / "report.json").read_text("utf-8"))
    assert content["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert content["split"] == "ordered"
    assert content["explanations"]["randomisation"] or "randomisation" in content["explanations"]["undefined"]
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        paths = [row["path"] for row in csv.DictReader(stream)]
    assert len(paths) == content["n"]
    assert all(path.startswith("chest_xray_224/") for path in paths)


def test_the_comparison_of_processors_is_of_the_shipped_models() -> None:
    """`python tools/processors.py` writes it anew, on a machine of another kind than the reports'."""
    compared = json.loads((ROOT / "reports" / "processors.json").read_text("utf-8"))["models"]
    shipped = {hashlib.sha256(model.read_bytes()).hexdigest() for model in SHIPPED}
    assert {figures["sha256"] for figures in compared.values()} == shipped


@pytest.mark.parametrize("folder", report_pages.reports(), ids=lambda path: path.parent.name)
def test_a_page_is_drawn_from_what_is_kept_and_shows_no_radiographs(folder: Path, tmp_path: Path) -> None:
    """`python tools/report_pages.py` draws them all."""
    page = report_pages.draw(folder, tmp_path / "out")
    text = page.read_text("utf-8")
    plots = [file for file in page.parent.iterdir() if file.suffix == ".png"]
    assert text.count("<img") == text.count("data:image/png;base64,") == len(plots) > 0
    assert RESEARCH_USE_ONLY in text
    # Nor the folders of a machine, in its page, record or table.
    for file in page.parent.iterdir():
        if file.suffix in (".html", ".json", ".csv"):
            assert not _MACHINE_PATH.findall(_INLINE_IMAGE.sub("", file.read_text("utf-8"))), file
