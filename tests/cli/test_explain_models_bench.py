"""``pneumoscope explain``, ``models`` and ``bench``."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumoscope.explain.methods import METHODS
from pneumoscope.imaging.reader import read_image
from pneumoscope.model.classifier import load_model
from support.cli_kit import Run

NOTICE = "Research use only. Not a medical device."


def test_explain_writes_a_picture_of_what_could_be_judged(
    run: Run, chest: Path, open_minded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run("explain", chest, "nope.png", "--out", out, "--model", open_minded_model)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [str(out / "chest.png")]
    assert "nope.png: no such file" in result.stderr
    assert NOTICE in result.stderr
    with Image.open(out / "chest.png") as picture:
        pixels = np.asarray(picture).astype(int)
    assert (pixels.max(axis=2) - pixels.min(axis=2)).max() > 100  # there is colour on it: heatmap and bar


def test_explain_writes_to_gradcam_outputs_by_default(
    run: Run, chest: Path, open_minded_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("explain", chest, "--model", open_minded_model)
    assert result.exit_code == 0
    assert result.stdout == "gradcam_outputs/chest.png\n"
    with Image.open(tmp_path / "gradcam_outputs" / "chest.png") as picture:
        assert picture.info["Disclaimer"] == NOTICE


def test_explain_offers_the_methods_of_the_table(run: Run, chest: Path) -> None:
    result = run("explain", chest, "--method", "tea-leaves")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in METHODS)


def test_every_method_gives_a_heatmap(chest: Path, open_minded_model: Path) -> None:
    model, image = load_model(open_minded_model), read_image(chest)
    for method in METHODS.values():
        heatmap = method.load()(model, image)
        assert heatmap is not None
        assert heatmap.ndim == 2
        assert 0 <= heatmap.min() <= heatmap.max() <= 1


def test_models_list_and_show_tell_what_the_file_is(run: Run) -> None:
    content = (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()
    (row,) = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    assert (row["file"], row["bytes"]) == ("builtin.tflite", len(content))
    shown = json.loads(run("models", "show", "--json").stdout)
    assert shown["sha256"] == row["sha256"] == hashlib.sha256(content).hexdigest()
    assert {"name": "probability", "dtype": "float32", "shape": [1, 1]} in shown["signature"]["outputs"]
    assert shown["signature"]["inputs"][0]["dtype"] == "uint8"
    assert row["name"] in run("models").stdout


def test_models_show_prints_every_operating_point_and_the_card(run: Run, open_minded_model: Path) -> None:
    contract = load_model(open_minded_model).contract
    text = run("models", "show", open_minded_model).stdout
    for name, point in contract.operating_points.items():
        assert f"  {name} " in text
        assert f"from {point.threshold:.4f} on" in text
    assert "(default)" in text
    assert load_model(open_minded_model).card.strip() in text
    assert text.splitlines()[-1] == NOTICE


def test_bench_measures_what_was_asked_for(run: Run) -> None:
    result = json.loads(run("bench", "--threads", "2", "--runs", "3", "--json").stdout)
    (timing,) = result["timings"]
    assert (timing["threads"], timing["runs"]) == (2, 3)
    assert 0 < timing["median_ms"] <= timing["p95_ms"]
    assert result["load_ms"] > 0
    text = run("bench", "--threads", "1", "--runs", "2").stdout
    assert "1 thread " in text
    assert NOTICE in text
