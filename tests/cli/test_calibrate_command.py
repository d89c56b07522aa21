"""``calibrate`` end to end on drawn chests: a new file, its scale, and what is refused without writing anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.calibration.affine_graph import with_affine
from pneumoscope.calibration.site import SiteScores, calibrated_model, check_enough, fit_site, how_wide
from pneumoscope.cli.opening import read_model_package
from pneumoscope.errors import DataError
from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.packaging import unpack
from pneumoscope.model.runtime import LiteRTRuntime, Outputs
from pneumoscope.statistics.odds import logit, sigmoid
from support import phantom
from support.cli_kit import Run


def site_scores(n: int = 240, seed: int = 0) -> SiteScores:
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(np.int64)
    odds = 1.5 * (2 * labels - 1) + generator.normal(size=n)
    return SiteScores(sigmoid(2 * odds + 3), labels, [str(row // 2) for row in range(n)], "a clinic")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The network is not under test: a picture's mean grey level is its score."""
    real = LiteRTRuntime.run

    def run(self: LiteRTRuntime, pixels: np.ndarray) -> Outputs:
        outputs = real(self, pixels)
        return dataclasses.replace(outputs, probability=float(np.clip(pixels.mean() / 255, 0.001, 0.999)))

    monkeypatch.setattr(LiteRTRuntime, "run", run)
    monkeypatch.setattr("pneumoscope.calibration.site._check", lambda *_: None)
    yield


def folder(tmp_path: Path, normals: int, pneumonias: int) -> Path:
    for name, count, base in (("NORMAL", normals, 0.7), ("PNEUMONIA", pneumonias, 0.85)):
        (tmp_path / name).mkdir(parents=True)
        for number in range(count):
            pixels = phantom.chest_phantom(160).astype(float) * (base + 0.004 * number)
            file = tmp_path / name / f"{number}.png"
            file.write_bytes(phantom.encode(np.clip(pixels, 0, 255).astype(np.uint8)))
    return tmp_path


@pytest.mark.parametrize("model", ["builtin", "twice"])
def test_the_graph_applies_the_map_exactly(model: str) -> None:
    graph = read_model_package(None)[0].graph
    if model == "twice":
        graph = with_affine(graph, 0.8, 0.3)
    before, after = LiteRTRuntime(graph), LiteRTRuntime(with_affine(graph, 0.4, -0.7))
    generator = np.random.default_rng(1)
    for _ in range(3):
        pixels = np.clip(phantom.chest_phantom(224) + generator.normal(0, 25, (224, 224)), 0, 255).astype(np.uint8)
        old, new = before.run(pixels), after.run(pixels)
        wanted = sigmoid(0.4 * logit(old.probability, edge=1e-7) - 0.7)
        assert new.probability == pytest.approx(float(wanted), abs=1e-4)
        assert (new.heatmap == old.heatmap).all()
        assert new.typicality == old.typicality
        assert new.subtype is not None
        assert new.subtype.sum() == pytest.approx(1, abs=1e-4)
        assert 1 - new.subtype[0] == pytest.approx(new.probability, abs=1e-4)


def test_a_calibrated_model_is_one_file_that_says_so() -> None:
    package = read_model_package(None)[0]
    scale = fit_site(site_scores())
    made = unpack(calibrated_model(package, scale), "made")
    contract = made.contract
    assert (contract.contract_version, contract.prevalence) == (2, 0.5)
    assert contract.operating_point()[1].threshold == 0.5
    assert contract.calibration is not None
    assert contract.calibration.source == "240 labelled images of a clinic"
    assert (contract.calibration.pneumonias, contract.calibration.normals) == (80, 160)
    assert contract.conformal is not None
    assert {entry.label for entry in contract.conformal.populations} == {"NORMAL", "PNEUMONIA"}
    assert "## Calibrated anew" in made.card and made.card.startswith(package.card.rstrip())
    # The scores were sigmoid(2 x + 3) of evidence x whose log odds at one half are 3 x.
    assert scale.affine.temperature == pytest.approx(2 / 3, rel=0.3)
    model = Model(made)
    drawn = phantom.chest_phantom(256)
    assert model.predict(drawn).prediction_set is not None or model.predict(drawn).probability is None


def test_the_command_writes_a_new_model_and_leaves_the_refused_out(
    run: Run, tmp_path: Path, open_minded_model: Path, answers: None
) -> None:
    data = folder(tmp_path / "clinic", 24, 22)
    (data / "NORMAL" / "broken.png").write_bytes(b"x")
    out, before = tmp_path / "site.tflite", open_minded_model.read_bytes()
    result = run("calibrate", open_minded_model, "--data", data, "--out", out)
    assert result.exit_code == 1, result.stderr  # one was refused
    assert "22 pneumonias and 24 normals of clinic; 1 left out" in result.stdout, result.stderr
    assert "left out:" in result.stderr and "broken.png" in result.stderr
    assert "24 NORMAL are less than 100" in result.stderr
    assert open_minded_model.read_bytes() == before
    contract = load_model(out).contract
    assert contract.operating_point()[1].threshold == 0.5
    again = run("calibrate", open_minded_model, "--data", data, "--out", out)
    assert again.exit_code == 2
    assert "nothing is written over" in again.stderr


@pytest.mark.parametrize(
    ("normals", "pneumonias", "said"),
    [
        (6, 6, "at least 20 of each class are needed"),
        (25, 0, "PNEUMONIA"),
    ],
)
def test_too_small_a_site_is_said_and_nothing_written(
    run: Run, tmp_path: Path, open_minded_model: Path, answers: None, normals: int, pneumonias: int, said: str
) -> None:
    out = tmp_path / "site.tflite"
    result = run("calibrate", open_minded_model, "--data", folder(tmp_path / "d", normals, pneumonias), "--out", out)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not out.exists()


def test_unknown_labels_are_said(run: Run, tmp_path: Path, open_minded_model: Path) -> None:
    data = folder(tmp_path / "d", 2, 2)
    (data / "COVID").mkdir()
    (data / "COVID" / "a.png").write_bytes((data / "NORMAL" / "0.png").read_bytes())
    out = tmp_path / "site.tflite"
    result = run("calibrate", open_minded_model, "--data", data, "--out", out)
    assert result.exit_code == 1
    assert "COVID is no class known here" in result.stderr
    assert not out.exists()


def test_few_images_are_told_with_the_width_of_their_intervals() -> None:
    assert "76.9 % to 96.0 %" in how_wide(40)
    assert check_enough(site_scores(600)) == ()
    (said,) = check_enough(site_scores(240))
    assert said.startswith("80 PNEUMONIA are less than 100")
    with pytest.raises(DataError, match="10 PNEUMONIA that could be judged"):
        check_enough(site_scores(30))
