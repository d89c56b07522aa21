"""The committed reports are those of the shipped models, and hold figures and plots only."""

from __future__ import annotations

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
def test_a_shipped_model_has_its_reports(model: Path) -> None:
    """On conflicting images, adults and random patients; `pneumoscope export` writes them."""
    contract = read_package(model).contract
    content = json.loads((ROOT / "reports" / contract.name / "out-of-fold.json").read_text("utf-8"))
    assert list(content) == ["random patients", "conflicting images", "other sources"]
    _, point = contract.operating_point()
    for report in content.values():
        assert (report["model"]["name"], report["model"]["version"]) == (contract.name, contract.version)
        assert report["threshold"] == point.threshold == 0.5
        assert report["n"] == report["n_judged"] > 20


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
