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


@pytest.mark.parametrize("scores", report_pages.reports(), ids=lambda path: path.parent.name)
def test_pages_are_drawn_from_what_is_kept_and_show_no_radiographs(scores: Path, tmp_path: Path) -> None:
    """`python tools/report_pages.py` draws them all, with the figures that the repository keeps."""
    kept = json.loads(scores.read_text("utf-8"))
    places = report_pages.draw(scores, tmp_path)
    assert len(places) == len(kept) == 3
    for place, known in zip(places, kept.values(), strict=True):
        _check_page(tmp_path / place)
        drawn = json.loads((tmp_path / place / "report.json").read_text("utf-8"))
        assert drawn["n"] == known["n"]
        assert drawn["auc"] == pytest.approx(known["auc"], abs=1e-6)
        assert drawn["accuracy"] == pytest.approx(known["accuracy"], abs=1e-3)


def _check_page(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8")
    plots = [file for file in folder.iterdir() if file.suffix == ".png"]
    assert text.count("<img") == text.count("data:image/png;base64,") == len(plots) > 0
    assert RESEARCH_USE_ONLY in text
    # Nor the folders of a machine, in its page, record or table.
    for file in folder.iterdir():
        if file.suffix in (".html", ".json", ".csv"):
            assert not _MACHINE_PATH.findall(_INLINE_IMAGE.sub("", file.read_text("utf-8"))), file
