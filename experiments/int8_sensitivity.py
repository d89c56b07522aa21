"""Which layers rounding to 8 bits hurts: ``reports/int8-sensitivity-NAME.json``.

    python experiments/int8_sensitivity.py RUN EXPORTED/NAME-float32.tflite

Quantises the float32 graph with more and more of its first layers left in float, and compares the log odds of
training radiographs with those of the float32 graph. Ranges come from other training radiographs.
``export.eight_bit.FLOAT_STARTS`` follows from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.source import Role
from pneumoscope.export.quantize import quantize
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.packaging import read_package
from pneumoscope.model.runtime import LiteRTRuntime
from pneumoscope.training.batches import load_pixels
from pneumoscope.training.run_folder import RunFolder

REPORTS = Path(__file__).resolve().parents[1] / "reports"
FOR_RANGES, JUDGED, NEAR = 100, 100, 8.0
"""Radiographs for the ranges and to judge; log odds beyond these say nothing about a decision."""

_STEM = r"lite0\S*/conv_stem"
_LITE0 = {
    "nothing": (),
    "Lite0 stem": (_STEM,),
    "Lite0 stem and block 0": (_STEM, r"lite0\S*/block0_"),
    "Lite0 stem and blocks 0-2": (_STEM, r"lite0\S*/block[0-2]_"),
    "Lite0 stem and blocks 0-4": (_STEM, r"lite0\S*/block[0-4]_"),
}
VARIANTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "lite0": _LITE0,
    "lite0-short": _LITE0,
    "trio": _LITE0,
    "baseline-cnn": {
        "nothing": (),
        "conv0": ("/conv0_",),
        "conv0 and conv1": ("/conv[01]_",),
        "all convolutions": ("/conv[0-2]_",),
    },
}
"""By network: what is left in float, and the patterns of its names."""


def log_odds(graph: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of pneumonia, for ``uint8 [N, H, W]`` images: ``float64 [N]``."""
    runtime = LiteRTRuntime(graph)
    probability = np.array([runtime.run(image).probability for image in pixels], np.float64)
    return np.log(probability) - np.log1p(-probability)


def main() -> None:
    """Measure every variant of the model's network."""
    run, package = RunFolder(Path(sys.argv[1])), read_package(Path(sys.argv[2]))
    name = package.contract.name
    rows = [row for row in run.read_manifest() if row.role is Role.TRAIN]
    chosen = np.random.default_rng(0).permutation(len(rows))[: FOR_RANGES + JUDGED]
    pixels = load_pixels([rows[index] for index in chosen], what="training images").pixels
    for_ranges, judged = list(pixels[:FOR_RANGES, ..., None]), pixels[FOR_RANGES:]
    expected = log_odds(package.graph, judged)
    near = np.abs(expected) < NEAR
    variants = []
    for what, starts in VARIANTS[name].items():
        int8 = quantize(package.graph, for_ranges, float_starts=starts)
        difference = log_odds(int8, judged[near]) - expected[near]
        variants.append(
            {
                "left_in_float": what,
                "bytes": len(int8),
                "median_shift_nats": round(float(np.median(difference)), 3),
                "standard_deviation_nats": round(float(difference.std()), 3),
            }
        )
    content = {
        "notice": RESEARCH_USE_ONLY,
        "network": name,
        "version": package.contract.version,
        "what": f"int8 against float32: log odds of pneumonia (those within {NEAR:g} nats) of training radiographs, "
        f"ranges from {FOR_RANGES} others",
        "command": f"python experiments/int8_sensitivity.py RUN {name}-float32.tflite",
        "radiographs": int(near.sum()),
        "variants": variants,
    }
    file = REPORTS / f"int8-sensitivity-{name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
