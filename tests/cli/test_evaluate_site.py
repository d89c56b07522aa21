"""``evaluate --site`` says what the answers are worth and how many images to label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from support import phantom
from support.cli_kit import Run


def test_a_site_is_told_what_to_label(run: Run, tmp_path: Path, calibrated_model: Path) -> None:
    for number, label in enumerate(["NORMAL", "PNEUMONIA"] * 3):
        file = tmp_path / "data" / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        drawn = np.clip(phantom.chest_phantom(160).astype(float) * (0.8 + 0.02 * number), 0, 255).astype(np.uint8)
        file.write_bytes(phantom.encode(drawn))
    arguments = ("evaluate", "--data", tmp_path / "data", "--model", calibrated_model, "--out", tmp_path / "out")
    plain = run(*arguments, "--no-images")
    assert plain.exit_code == 0, plain.output
    assert "to check a coverage" not in plain.stdout
    result = run(*arguments, "--no-images", "--site")
    assert "to check a coverage of 90.0 %, label of each class: 385 for +- 3%, 139 for +- 5%" in result.stdout
    assert "coverage of NORMAL  100.0 %" in result.stdout  # the band of this model holds every score
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["answers"]["prediction_sets"]["decided"] == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Where the model does not know" in page
    assert "What a result means" in page
