"""Golden files hold Python, and the reference in the documents, to the same pixels and outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import load_model

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
CASES: dict[str, Any] = EXPECTED["cases"]


def read_pgm(name: str) -> NDArray[np.uint8]:
    with Image.open(GOLDEN / name) as image:
        return np.asarray(image)


def test_every_picture_is_expected() -> None:
    named = {case[kind] for case in CASES.values() for kind in ("input", "shrunk")}
    assert named == {file.name for file in GOLDEN.glob("*.pgm")}


@pytest.mark.parametrize("name", CASES)
def test_shrinking_gives_the_golden_pixels(name: str) -> None:
    case = CASES[name]
    shrunk = shrink(read_pgm(case["input"]), width=224, height=224)
    # Builds of Pillow may round a pixel differently.
    assert np.abs(shrunk.astype(int) - read_pgm(case["shrunk"])).max() <= 1


@pytest.mark.parametrize("name", CASES)
def test_the_reference_in_the_documents_gives_the_golden_pixels(name: str) -> None:
    document = (ROOT / "docs" / "shrinking.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", document, flags=re.DOTALL)
    assert len(code.splitlines()) <= 30
    scope: dict[str, Any] = {}
    exec(code, scope)
    case = CASES[name]
    shrunk = np.array(scope["shrink"](read_pgm(case["input"]).tolist(), 224, 224))
    assert np.abs(shrunk - read_pgm(case["shrunk"]).astype(int)).max() <= 1


def test_the_built_in_model_gives_the_golden_outputs() -> None:
    model = load_model()
    again = "; run python tools/golden.py outputs"
    assert EXPECTED["model"]["sha256"] == model.info.sha256, f"expected.json is of another model{again}"
    name, point = model.contract.operating_point()
    assert (name, point.threshold) == (EXPECTED["operating_point"], EXPECTED["threshold"])
    for case in CASES.values():
        out = model.runtime().run(read_pgm(case["shrunk"]))
        assert out.probability == pytest.approx(case["probability"], abs=1e-3)
        assert out.typicality == pytest.approx(case["typicality"], abs=3e-2)
        np.testing.assert_allclose(out.heatmap, case["heatmap"], atol=6e-2)
        if np.ptp(case["heatmap"]):  # a page of text has no heat
            assert np.corrcoef(out.heatmap.ravel(), np.ravel(case["heatmap"]))[0, 1] > 0.995
        if out.subtype is not None:
            np.testing.assert_allclose(out.subtype, case["subtype"], atol=1e-3)
        assert case["refused"] == (case["typicality"] < EXPECTED["typicality_limit"])
        judged = model.contract.labels[int(case["probability"] >= EXPECTED["threshold"])]
        assert case["label"] == (None if case["refused"] else judged)
