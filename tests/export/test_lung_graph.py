"""A graph that looks for the lungs: the same in every form, and its model refuses what has none before all else."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file

from pneumoscope.calibration.fit import Calibration
from pneumoscope.calibration.run import embed
from pneumoscope.calibration.typicality import TypicalityModel, fit_typicality
from pneumoscope.errors import ModelError
from pneumoscope.explain.cams import grad_cam, grad_cam_plus_plus
from pneumoscope.explain.frame import in_picture
from pneumoscope.explain.graph_surgery import Flatbuffer, OpenedGraph
from pneumoscope.export.graph import HEATMAP_SIDE, assemble
from pneumoscope.export.litert import convert
from pneumoscope.export.mediapipe import classifier_graph, predict_with_classifier
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import Contract, OperatingPoint, Provenance, Quantization
from pneumoscope.model.lung_field import LungField
from pneumoscope.model.packaging import pack, unpack
from pneumoscope.model.prediction import Status
from pneumoscope.model.runtime import LiteRTRuntime
from pneumoscope.training.lungs.crop import MapInPicture
from pneumoscope.training.lungs.shipped import find_lungs, lung_field_network
from pneumoscope.training.networks import build_network
from support import phantom

pytestmark = pytest.mark.slow

SIDE = 64


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Eight chests, ``uint8 [8, 224, 224]``: real ones where they are there, else phantoms."""
    folder = Path(os.environ.get("PNEUMOSCOPE_DATA", "nowhere")) / "chest_xray_224" / "val"
    files = sorted(folder.rglob("*.jpeg"))[::2][:8]
    if files:
        return np.stack([shrink(read_image(file).pixels, width=224, height=224) for file in files])
    return np.stack([phantom.chest_phantom(224, seed, opacity=seed % 2) for seed in range(8)])


@pytest.fixture(scope="module")
def parts(pixels: NDArray[np.uint8]) -> tuple[keras.Model, TypicalityModel]:
    """A small classifier with random weights that fit the images, and its typicality."""
    keras.utils.set_random_seed(1)
    network = build_network("pneumonet", classes=3, size=SIDE)
    seen = np.stack([shrink(image, width=SIDE, height=SIDE) for image in pixels])
    for _ in range(40):
        network(seen[..., None].astype(np.float32), training=True)
    _, embeddings = embed(network, seen)
    scatter = np.random.default_rng(0).normal(size=(100, *embeddings.shape)) * (embeddings.std(0) + 0.1)
    cloud = (embeddings + scatter).reshape(-1, embeddings.shape[1]).astype(np.float32)
    return network, fit_typicality(cloud, cloud)


@pytest.fixture(scope="module")
def graph(parts: tuple[keras.Model, TypicalityModel]) -> keras.Model:
    return assemble(parts[0], Calibration(1.7, -0.3), parts[1], lung_field_network())


@pytest.fixture(scope="module")
def float32(graph: keras.Model) -> bytes:
    return convert(graph, Quantization.FLOAT32)


def contract(field: LungField | None = LungField(SIDE)) -> Contract:  # noqa: B008
    return Contract(
        name="x",
        version="1.0.0",
        graph_sha256="",
        quantization=Quantization.FLOAT32,
        operating_points={"balanced": OperatingPoint(0.5, 0.9, 0.9)},
        default_operating_point="balanced",
        typicality_limit=0.0,
        parameters=1,
        provenance=Provenance("x", 0, "0" * 64, 1),
        subtypes=("NORMAL", "BACTERIAL", "VIRAL"),
        lung_field=field,
    )


@pytest.fixture(scope="module")
def model(float32: bytes) -> Model:
    return Model(unpack(pack(float32, contract(), "card"), "x"))


def test_outputs(graph: keras.Model, pixels: NDArray[np.uint8]) -> None:
    out = graph.predict_on_batch(pixels[..., None])
    shapes = {name: values.shape[1:] for name, values in out.items()}
    assert shapes == {
        "probability": (1,),
        "subtype": (3,),
        "heatmap": (HEATMAP_SIDE, HEATMAP_SIDE),
        "typicality": (1,),
        "lungs": (96, 96),
        "lung_box": (4,),
    }


def test_the_box_is_the_one_that_training_crops_to(graph: keras.Model, pixels: NDArray[np.uint8]) -> None:
    out = graph.predict_on_batch(pixels[..., None])
    found = find_lungs(pixels)
    # The graph does not round the small picture to whole grey levels.
    np.testing.assert_allclose(out["lung_box"], found.boxes, atol=0.01)
    assert found.found.all()


def test_the_classifier_sees_the_box_and_nothing_else(
    parts: tuple[keras.Model, TypicalityModel], graph: keras.Model, pixels: NDArray[np.uint8]
) -> None:
    out = graph.predict_on_batch(pixels[..., None])
    for index, image in enumerate(pixels):
        x0, y0, x1, y1 = (float(share) * 224 for share in out["lung_box"][index])
        floats = Image.fromarray(image.astype(np.float32), mode="F")
        crop = np.asarray(floats.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1)))
        logits = keras.ops.convert_to_numpy(parts[0](crop[None, ..., None])["logits"])[0]
        odds = np.logaddexp(logits[1], logits[2]) - logits[0]
        expected = 1 / (1 + np.exp(-(odds / 1.7 - 0.3)))
        assert float(out["probability"][index, 0]) == pytest.approx(float(expected), abs=0.002)


@pytest.mark.parametrize("quantization", list(Quantization))
def test_litert_agrees_with_keras(
    graph: keras.Model, float32: bytes, pixels: NDArray[np.uint8], quantization: Quantization
) -> None:
    whole = quantization is Quantization.FLOAT32
    flatbuffer = float32 if whole else convert(graph, quantization, list(pixels[..., None]))
    runtime = LiteRTRuntime(flatbuffer)
    expected = graph.predict_on_batch(pixels[..., None])
    probability, box = {
        Quantization.FLOAT32: (1e-4, 1e-4),
        Quantization.FLOAT16: (1e-2, 2e-3),
    }.get(quantization, (0.1, 0.02))
    for index, image in enumerate(pixels):
        out = runtime.run(image)
        assert out.probability == pytest.approx(float(expected["probability"][index, 0]), abs=probability)
        assert out.lungs is not None and out.lung_box is not None
        np.testing.assert_allclose(out.lung_box, expected["lung_box"][index], atol=box)
        changed = ((out.lungs > 0.5) != (expected["lungs"][index] > 0.5)).mean()
        assert changed <= (0.0 if whole else 0.02)
        if whole:
            np.testing.assert_allclose(out.heatmap, expected["heatmap"][index], atol=2e-3)


def test_the_form_for_mediapipe_sees_the_lungs_too(graph: keras.Model, pixels: NDArray[np.uint8]) -> None:
    judged = predict_with_classifier(convert(classifier_graph(graph), Quantization.FLOAT32), pixels)
    expected = graph.predict_on_batch(pixels[..., None])["probability"][:, 0]
    np.testing.assert_allclose(judged.probability, expected, atol=1e-3)


def test_a_map_is_laid_into_the_picture_as_the_graph_does_it() -> None:
    heat = np.random.default_rng(0).random((9, 11)).astype(np.float32)
    for box in ([0.1, 0.2, 0.83, 0.97], [0, 0, 1, 1], [0.4, 0.3, 0.6, 0.45]):
        shares = np.array(box, np.float32)
        laid = in_picture(heat, shares, 28)
        expected = keras.ops.convert_to_numpy(MapInPicture(28)([heat[None], shares[None]]))[0]
        np.testing.assert_allclose(laid / laid.max(), expected, atol=1e-4)


def test_the_heatmap_can_be_taken_apart(float32: bytes, pixels: NDArray[np.uint8]) -> None:
    opened, whole = OpenedGraph(Flatbuffer(float32).packed()), LiteRTRuntime(float32)
    for image in pixels[:3]:
        evidence, out = opened(image), whole.run(image)
        np.testing.assert_allclose(grad_cam(evidence), out.heatmap, atol=1e-4)
        assert out.lung_box is not None
        outside = np.ones((HEATMAP_SIDE, HEATMAP_SIDE), bool)
        x0, y0, x1, y1 = out.lung_box * HEATMAP_SIDE
        outside[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = False
        assert grad_cam_plus_plus(evidence)[outside].max(initial=0) == 0


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_chest_is_judged_and_its_record_says_where_the_lungs_are(model: Model, pixels: NDArray[np.uint8]) -> None:
    prediction = model.predict(png(pixels[0]))
    assert prediction.status is Status.OK, prediction.reasons
    box = prediction.as_dict()["lungs"]["box"]
    assert 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    assert (box[2] - box[0]) * (box[3] - box[1]) < 0.98


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path, f"{name} comes with the pydicom-data package"
    return Path(path)


def test_the_adult_of_pydicom_data_has_lungs(model: Model) -> None:
    prediction = model.predict(sample("RG1_UNCR.dcm"))
    assert prediction.status is Status.OK, prediction.reasons
    assert prediction.lungs is not None


def test_a_leg_has_none_and_that_is_the_first_reason(model: Model) -> None:
    """Turned, so that the checks that need no model let it pass; upright they refuse it."""
    leg = read_image(sample("RG3_UNCR.dcm")).pixels
    refused = model.predict(png(np.ascontiguousarray(np.rot90(leg))))
    assert refused.status is Status.REFUSED
    assert refused.lungs is None
    assert "no lung fields found" in refused.reasons[0]
    assert model.predict(sample("RG3_UNCR.dcm")).status is Status.REFUSED


def test_smooth_noise_has_no_lungs(model: Model) -> None:
    """Smooth enough to pass the checks that need no model."""
    rng = np.random.default_rng(5)
    for _ in range(6):
        coarse = Image.fromarray(rng.integers(20, 235, (9, 9), dtype=np.uint8))
        prediction = model.predict(png(np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC))))
        assert prediction.status is Status.REFUSED
        assert "no lung fields found" in prediction.reasons[0]


def test_graph_and_contract_must_agree(float32: bytes) -> None:
    with pytest.raises(ModelError, match="disagree about the lung field"):
        Model(unpack(pack(float32, contract(field=None), "card"), "x"))
