"""MediaPipe Tasks' own ImageClassifier reads the exported form and gives the scores that our model gives."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.calibration.fit import Calibration
from pneumoscope.calibration.typicality import TypicalityModel
from pneumoscope.export.graph import assemble
from pneumoscope.export.litert import convert
from pneumoscope.export.mediapipe import (
    LumaOfRGB,
    class_names,
    classifier_graph,
    predict_with_classifier,
    with_metadata,
)
from pneumoscope.export.parity import predict_with_keras
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import load_model
from pneumoscope.model.contract import Quantization
from pneumoscope.model.packaging import pack, unpack
from pneumoscope.statistics.odds import pneumonia_logit
from pneumoscope.training.networks import build_network
from support import phantom

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-mediapipe" / "bin" / "python"
SCRIPT = Path(__file__).with_name("mediapipe_task.py")


def show(pixels: NDArray[np.uint8], folder: Path) -> list[Path]:
    """Write grey ``uint8 [N, 224, 224]`` as RGB pictures without loss."""
    files = [folder / f"{index}.png" for index in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).convert("RGB").save(file)
    return files


@pytest.fixture(scope="module")
def radiographs_224(radiographs: Path) -> NDArray[np.uint8]:
    files = sorted((radiographs / "native" / "val").rglob("*.jpeg"))
    assert len(files) == 16
    return np.stack([shrink(read_image(file).pixels, width=224, height=224) for file in files])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A network with random weights as a packed file, and its graph."""
    import keras

    keras.utils.set_random_seed(2)
    network = build_network("pneumonet", classes=3)
    chests = np.stack([phantom.chest_phantom(224, seed, opacity=seed % 2) for seed in range(4)])
    batch = chests[..., None].astype(np.float32)
    for _ in range(30):
        network(batch, training=True)
    # Untrained log odds differ little: spread about 0, so that scores differ.
    log_odds, temperature = pneumonia_logit(np.asarray(network(batch)["logits"])), 0.05
    calibration = Calibration(temperature, float(-log_odds.mean() / temperature))
    width = network.output["embedding"].shape[-1]
    rng = np.random.default_rng(0)
    ones = np.ones(width, np.float32)
    directions = np.linalg.qr(rng.normal(size=(width, 4)))[0].astype(np.float32)
    typicality = TypicalityModel(0 * ones, ones, directions, np.ones(4, np.float32), 1.0, 0.0)
    graph = assemble(network, calibration, typicality)
    contract = load_model().contract
    flatbuffer = with_metadata(convert(classifier_graph(graph), Quantization.FLOAT32), contract)
    judged, reference = predict_with_classifier(flatbuffer, chests), predict_with_keras(graph, chests)
    np.testing.assert_allclose(judged.probability, reference.probability, atol=1e-4)
    np.testing.assert_allclose(judged.typicality, reference.typicality, atol=1e-3)
    file = tmp_path_factory.mktemp("mediapipe") / "net-mediapipe.tflite"
    file.write_bytes(pack(flatbuffer, contract, "# card", labels=class_names(contract)))
    return file, flatbuffer


def test_luma_is_that_of_our_reader() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    grey = np.asarray(Image.fromarray(colours).convert("L")).astype(int)
    ours = np.asarray(LumaOfRGB()(colours[None]))[0, ..., 0].astype(int)
    assert np.abs(ours - grey).max() <= 1
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None, None], 3, axis=3)
    assert (np.asarray(LumaOfRGB()(levels)).ravel() == np.arange(256)).all()


def test_the_file_is_still_one_of_ours(classifier: tuple[Path, bytes]) -> None:
    file, flatbuffer = classifier
    package = unpack(file.read_bytes(), "classifier")
    assert package.graph == flatbuffer
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt").decode().split() == ["NORMAL", "PNEUMONIA", "UNTYPICAL"]


@pytest.mark.skipif(
    sys.version_info >= (3, 13) and not PYTHON.exists(), reason="MediaPipe 0.10.21 has no build for this Python"
)
def test_the_real_image_classifier_gives_our_scores(
    classifier: tuple[Path, bytes], radiographs_224: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert PYTHON.exists(), "the environment of MediaPipe is missing; make it with `make mediapipe`"
    file, flatbuffer = classifier
    command = [str(PYTHON), str(SCRIPT), str(file), *map(str, show(radiographs_224, tmp_path))]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    scores = [json.loads(line) for line in process.stdout.splitlines()]
    assert all(set(one) == {"NORMAL", "PNEUMONIA", "UNTYPICAL"} for one in scores)
    ours = predict_with_classifier(flatbuffer, radiographs_224)
    theirs = np.array([[one["NORMAL"], one["PNEUMONIA"], one["UNTYPICAL"]] for one in scores])
    np.testing.assert_allclose(theirs[:, 1], ours.probability, atol=1e-4)
    np.testing.assert_allclose(theirs[:, 0], 1 - ours.probability, atol=1e-4)
    np.testing.assert_allclose(theirs[:, 2], 1 - ours.typicality, atol=1e-4)
    assert ours.probability.std() > 0.01, "all scores alike: nothing was compared"
