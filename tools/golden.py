"""Writes tests/golden/: drawn chests, their 224 x 224 pixels and what the built-in model says about them.

python tools/golden.py            everything anew (after the phantom, the shrinking step or the model changed)
python tools/golden.py outputs    only expected.json, from the pictures that are there (after the model changed)
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from support import phantom

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"


@dataclass(frozen=True)
class Case:
    """A picture by ``tests/support/phantom.py``: a chest of this size and opacity; ``None`` for a page of text."""

    name: str
    height: int
    width: int
    seed: int
    opacity: float | None


CASES = (
    Case("tall", 512, 400, 1, 0.0),
    Case("wide-opacity", 300, 421, 2, 1.0),
    Case("exact-opacity", 224, 224, 3, 0.6),
    Case("enlarged", 131, 150, 4, 0.0),
    Case("text-page", 256, 256, 5, None),
)


def write_pgm(file: Path, pixels: NDArray[np.uint8]) -> None:
    """Binary PGM (P5), which is a line of text and the pixels."""
    height, width = pixels.shape
    file.write_bytes(f"P5\n{width} {height}\n255\n".encode() + pixels.tobytes())


def read_pgm(file: Path) -> NDArray[np.uint8]:
    """``uint8 [H, W]``."""
    with Image.open(file) as image:
        return np.asarray(image)


def write_pictures() -> None:
    """``NAME.pgm`` and ``NAME-224.pgm`` of every case."""
    sys.path.insert(0, str(ROOT / "tests"))
    from pneumoscope.imaging.resize import shrink

    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        if case.opacity is None:
            pixels = phantom.text_page(case.height)
        else:
            pixels = phantom.chest_phantom((case.height, case.width), case.seed, opacity=case.opacity)
        write_pgm(GOLDEN / f"{case.name}.pgm", pixels)
        write_pgm(GOLDEN / f"{case.name}-224.pgm", shrink(pixels, width=224, height=224))


def expected_outputs() -> dict[str, Any]:
    """What ``expected.json`` holds, from the built-in model and the 224 x 224 pictures."""
    from pneumoscope.model.classifier import load_model
    from pneumoscope.model.contract import RESEARCH_USE_ONLY

    model = load_model()
    contract, info, runtime = model.contract, model.info, model.runtime()
    name, point = contract.operating_point()
    cases = {}
    for case in CASES:
        out = runtime.run(read_pgm(GOLDEN / f"{case.name}-224.pgm"))
        refused = out.typicality < contract.typicality_limit
        cases[case.name] = {
            "input": f"{case.name}.pgm",
            "shrunk": f"{case.name}-224.pgm",
            "probability": round(out.probability, 5),
            "subtype": None if out.subtype is None else [round(float(p), 5) for p in out.subtype],
            "typicality": round(out.typicality, 5),
            "refused": bool(refused),
            "label": None if refused else contract.labels[int(out.probability >= point.threshold)],
            "heatmap": [[round(float(value), 3) for value in row] for row in out.heatmap],
        }
    return {
        "notice": RESEARCH_USE_ONLY,
        "model": {"name": info.name, "version": info.version, "sha256": info.sha256},
        "operating_point": name,
        "threshold": point.threshold,
        "typicality_limit": contract.typicality_limit,
        "cases": cases,
    }


def write_outputs() -> None:
    """``expected.json``."""
    text = json.dumps(expected_outputs(), indent=1)
    (GOLDEN / "expected.json").write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write what is asked for."""
    if "outputs" not in arguments:
        write_pictures()
    write_outputs()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
