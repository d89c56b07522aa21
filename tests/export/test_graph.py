"""The in-graph heatmap is Grad-CAM by automatic differentiation; the rest of the graph is what it says it is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from pneumoscope.calibration.fit import Calibration, fit_calibration
from pneumoscope.calibration.run import embed
from pneumoscope.calibration.typicality import SHARPNESS, fit_typicality
from pneumoscope.errors import ExportError, PneumoscopeError
from pneumoscope.export.correction import compensate, measure_shift
from pneumoscope.export.graph import assemble
from pneumoscope.export.keras_files import save_keras, save_saved_model
from pneumoscope.export.litert import convert
from pneumoscope.export.mediapipe import classifier_graph, with_metadata
from pneumoscope.export.quantize import FLOAT_ENDS, int8_operations, quantize, quantize_weights
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.classifier import load_model
from pneumoscope.model.contract import Quantization
from pneumoscope.model.runtime import LiteRTRuntime
from pneumoscope.statistics.odds import pneumonia_logit
from pneumoscope.training.networks import build_network
from pneumoscope.training.networks.joined import join
from support import phantom

pytestmark = pytest.mark.slow

# One of each head: pooled maps and one dense layer, and a hidden layer. The others share the first.
SHIPPED = ("pneumonet", "baseline-cnn")
TWO_CLASSES = ("baseline-cnn",)
FLOAT32 = Quantization.FLOAT32
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Six chests, ``uint8 [6, 224, 224]``: real ones where they are there, else phantoms."""
    import os

    folder = Path(os.environ.get("PNEUMOSCOPE_DATA", "nowhere")) / "chest_xray_224" / "val"
    files = sorted(folder.rglob("*.jpeg"))[::3][:6]
    if files:
        return np.stack([shrink(read_image(file).pixels, width=224, height=224) for file in files])
    return np.stack([phantom.chest_phantom(224, seed, opacity=seed % 2) for seed in range(6)])


@pytest.fixture(scope="module", params=SHIPPED)
def network(request: pytest.FixtureRequest, pixels: NDArray[np.uint8]) -> keras.Model:
    """A network with random weights whose batch statistics fit the images, so that no map is dead."""
    keras.utils.set_random_seed(1)
    built = build_network(request.param, classes=2 if request.param in TWO_CLASSES else 3)
    for _ in range(40):
        built(pixels[..., None].astype(np.float32), training=True)
    return built


@pytest.fixture(scope="module")
def graph(network: keras.Model, pixels: NDArray[np.uint8]) -> keras.Model:
    _, embeddings = embed(network, pixels)
    # Six images span too little for a Gaussian; scattered copies of them span enough to compute with.
    scatter = np.random.default_rng(0).normal(size=(100, *embeddings.shape)) * (embeddings.std(0) + 0.1)
    cloud = (embeddings + scatter).reshape(-1, embeddings.shape[1]).astype(np.float32)
    return assemble(network, Calibration(1.7, -0.3), fit_typicality(cloud, cloud))


@pytest.fixture(scope="module")
def float32(graph: keras.Model) -> bytes:
    return convert(graph, Quantization.FLOAT32)


def reference_grad_cam(network: keras.Model, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grad-CAM as in the paper: gradient of the pneumonia log odds at the maps, averaged, by TensorFlow."""
    classifier, x = network.get_layer("classifier"), tf.constant(image[None, ..., None], tf.float32)
    maps = network(x)["maps"]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        if network.name == "baseline-cnn":
            hidden = network.get_layer("hidden")(tf.reshape(maps, (1, -1)))
        else:
            hidden = tf.reduce_mean(maps, axis=(1, 2))
        logits = classifier(hidden)
        sick = logits[:, 0] if logits.shape[-1] == 1 else tf.reduce_logsumexp(logits[:, 1:], 1) - logits[:, 0]
    weights = tf.reduce_mean(tape.gradient(sick, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(maps * weights, -1))[0].numpy()
    scaled: NDArray[np.float32] = heat / (heat.max() + 1e-12)
    return scaled


def test_parameter_counts() -> None:
    assert build_network("baseline-cnn", classes=2).count_params() == 11_169_409
    assert build_network("pneumonet", classes=3).count_params() <= 1_500_000


def test_heatmap_is_grad_cam(network: keras.Model, graph: keras.Model, pixels: NDArray[np.uint8]) -> None:
    heatmaps = graph.predict_on_batch(pixels[..., None])["heatmap"]
    seen = 0
    for image, heatmap in zip(pixels, heatmaps, strict=True):
        expected = reference_grad_cam(network, image)
        seen += bool(expected.max() > 0.99)
        np.testing.assert_allclose(heatmap, expected, atol=1e-3)
    assert seen >= 2, "too few images with any positive evidence to compare"


def test_probability_is_the_calibrated_softmax(
    network: keras.Model, graph: keras.Model, pixels: NDArray[np.uint8]
) -> None:
    logits, _ = embed(network, pixels)
    expected = 1 / (1 + np.exp(-(pneumonia_logit(logits) / 1.7 - 0.3)))
    out = graph.predict_on_batch(pixels[..., None])
    np.testing.assert_allclose(out["probability"][:, 0], expected, atol=1e-5)
    if "subtype" in out:
        np.testing.assert_allclose(out["subtype"].sum(1), 1, atol=1e-5)
        within = np.exp(logits[:, 1] - np.logaddexp(logits[:, 1], logits[:, 2]))
        np.testing.assert_allclose(out["subtype"][:, 1], expected * within, atol=1e-5)


@pytest.mark.parametrize("quantization", list(Quantization))
def test_litert_agrees_with_keras(
    graph: keras.Model, float32: bytes, pixels: NDArray[np.uint8], quantization: Quantization
) -> None:
    flatbuffer = (
        float32 if quantization is Quantization.FLOAT32 else convert(graph, quantization, list(pixels[..., None]))
    )
    runtime = LiteRTRuntime(flatbuffer)
    expected = graph.predict_on_batch(pixels[..., None])
    tolerance = {Quantization.FLOAT32: 1e-4, Quantization.FLOAT16: 1e-2}.get(quantization, 0.1)
    for index, image in enumerate(pixels):
        out = runtime.run(image)
        assert out.probability == pytest.approx(float(expected["probability"][index, 0]), abs=tolerance)
        if quantization is Quantization.FLOAT32:
            np.testing.assert_allclose(out.heatmap, expected["heatmap"][index], atol=1e-3)
            assert out.typicality == pytest.approx(float(expected["typicality"][index, 0]), abs=1e-3)


def test_int8_is_the_network_and_not_its_ends(float32: bytes, pixels: NDArray[np.uint8]) -> None:
    chosen = int8_operations(float32)
    assert {"CONV_2D"} <= {operation.kind for operation in chosen}
    assert not [o.tensor for o in chosen if any(end in o.tensor for end in FLOAT_ENDS)]
    int8 = quantize(float32, list(pixels[..., None]))
    assert len(int8) <= 0.3 * len(float32)
    assert int8 == quantize(float32, list(pixels[..., None]))
    eight_bit = [weights for weights in weights_in(int8) if weights.dtype is np.int8]
    assert len(eight_bit) == sum(operation.kind in KINDS for operation in chosen)
    assert all(weights.scales > 1 for weights in eight_bit)  # one a channel


@pytest.mark.parametrize("name", ["pneumonet", "lite0-short"])
def test_the_dynamic_form_has_int8_weights_where_int8_does_but_for_depthwise_convolutions(name: str) -> None:
    network = build_network(name, classes=3, size=64)
    float32 = convert(keras.Model(network.input, network.output["logits"], name=name), FLOAT32)
    dynamic = quantize_weights(float32)
    assert dynamic == quantize_weights(float32)
    expected = {o.tensor for o in int8_operations(float32) if o.kind in ("CONV_2D", "FULLY_CONNECTED")}
    eight_bit = [weights for weights in weights_in(dynamic) if weights.dtype is np.int8]
    assert {weights.tensor for weights in eight_bit} == expected
    assert all(weights.scales > 1 for weights in eight_bit)
    depthwise = {weights.dtype for weights in weights_in(dynamic) if weights.kind == "DEPTHWISE_CONV_2D"}
    assert depthwise == ({np.float32} if name == "lite0-short" else set())


def test_int8_keeps_its_weights_inside_the_flatbuffer(float32: bytes, pixels: NDArray[np.uint8]) -> None:
    """So that nothing is lost when it is written anew with metadata."""
    int8 = quantize(float32, list(pixels[:2, ..., None]))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(int8, 0))
    assert not [buffer for buffer in model.buffers if buffer.offset or buffer.size]
    sizes = [len(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert sum(sizes) > 256 * 1024  # from there on the quantiser puts them elsewhere
    before = LiteRTRuntime(int8).run(pixels[0])
    after = LiteRTRuntime(with_metadata(int8, load_model().contract)).run(pixels[0])
    assert after.probability == before.probability


def test_int8_is_the_same_network_in_the_form_for_mediapipe(graph: keras.Model, float32: bytes) -> None:
    """Whose graph has "classifier" in its own name, as an end that stays in float has."""
    chosen = [operation.kind for operation in int8_operations(convert(classifier_graph(graph), Quantization.FLOAT32))]
    assert sorted(chosen) == sorted(operation.kind for operation in int8_operations(float32))


@pytest.mark.parametrize("name", ["lite0", "lite0-short", "joined"])
def test_int8_leaves_the_first_blocks_of_lite0_in_float(name: str) -> None:
    if name == "joined":
        network = join([build_network("lite0-short", classes=3, size=64) for _ in range(2)], name=name)
    else:
        network = build_network(name, classes=3, size=64)
    named = keras.Model(network.input, network.output["logits"], name=name)
    chosen = int8_operations(convert(named, Quantization.FLOAT32))
    blocks = {int(found[1]) for o in chosen if (found := re.search(r"lite0[\w-]*/block(\d+)_", o.tensor))}
    assert blocks == set(range(3, 16 if name == "lite0" else 11))
    assert not [o.tensor for o in chosen if "conv_stem" in o.tensor]


def test_int8_leaves_the_first_convolutions_of_the_baseline_in_float() -> None:
    network = build_network("baseline-cnn", classes=2, size=64)
    chosen = int8_operations(
        convert(keras.Model(network.input, network.output["logits"], name="baseline-cnn"), FLOAT32)
    )
    layers = [found[1] for o in chosen if (found := re.search(r"/(conv\d|hidden)", o.tensor))]
    assert layers == ["conv2", "hidden"]


class Weights(NamedTuple):
    """Those of a convolution or dense layer in a flatbuffer."""

    kind: str
    tensor: str
    dtype: Any
    scales: int


def weights_in(flatbuffer: bytes) -> list[Weights]:
    interpreter = Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    found = []
    for operation in interpreter._get_ops_details():
        if operation["op_name"] in KINDS:
            weights, result = tensors[operation["inputs"][1]], tensors[operation["outputs"][0]]
            scales = len(weights["quantization_parameters"]["scales"])
            found.append(Weights(operation["op_name"], result["name"], weights["dtype"], scales))
    return found


def test_int8_needs_representative_images(float32: bytes) -> None:
    with pytest.raises(ExportError, match="representative"):
        quantize(float32, [])


def test_a_shift_is_measured_and_taken_back(network: keras.Model, pixels: NDArray[np.uint8]) -> None:
    _, embeddings = embed(network, pixels)
    scatter = np.random.default_rng(0).normal(size=(50, *embeddings.shape)) * (embeddings.std(0) + 0.1)
    cloud = (embeddings + scatter).reshape(-1, embeddings.shape[1]).astype(np.float32)
    fitted = fit_typicality(cloud, cloud)
    # The images lie in the middle of their own cloud, where typicality is 1 to the last digit and cannot tell a shift.
    typicality = dataclasses.replace(fitted, reference=float(np.median(fitted.log_distance(embeddings))))
    graph = assemble(network, Calibration(9.0, 0.0), typicality)
    off = assemble(network, Calibration(9.0, 0.25), dataclasses.replace(typicality, reference=typicality.reference + 1))
    shift = measure_shift(graph, convert(off, Quantization.FLOAT32), list(pixels))
    assert shift.probability == pytest.approx(0.25, abs=1e-3)
    assert shift.typicality == pytest.approx(SHARPNESS, abs=0.05)
    calibration, moved = compensate(shift, Calibration(9.0, 0.25), typicality)
    assert calibration.bias == pytest.approx(0, abs=1e-3)
    assert moved.reference == pytest.approx(typicality.reference - 1, abs=0.02)


def test_saved_model_loads_back_the_same(graph: keras.Model, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = save_saved_model(graph, tmp_path, "net")
    assert [path.name for path in tmp_path.iterdir()] == ["net-saved-model"]
    expected = graph.predict_on_batch(pixels[..., None])
    loaded = tf.saved_model.load(folder)  # held on to: its functions do not keep its variables alive
    again = loaded.serve(tf.constant(pixels[..., None]))
    for name, values in expected.items():
        np.testing.assert_allclose(again[name].numpy(), values, atol=1e-5)


def test_a_saved_model_that_cannot_be_finished_leaves_nothing(
    graph: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(self: keras.Model, folder: Path, **options: object) -> None:
        folder.mkdir()
        (folder / "half.pb").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(graph), "export", full_disk)
    with pytest.raises(PneumoscopeError, match=r"net-saved-model: could not be written.*No space left"):
        save_saved_model(graph, tmp_path, "net")
    assert not list(tmp_path.iterdir())


def test_keras_files_load_back_the_same(graph: keras.Model, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    expected = graph.predict_on_batch(pixels[..., None])
    files = save_keras(graph, tmp_path, "net")
    assert [file.name for file in files] == ["net.keras", "net.h5"]
    for file in files:
        again: Any = keras.models.load_model(file, compile=False).predict_on_batch(pixels[..., None])
        for name, values in expected.items():
            np.testing.assert_allclose(again[name], values, atol=1e-6)


def test_typicality_falls_with_distance() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(5, 80))
    near = (rng.normal(size=(900, 5)) @ factors + 0.1 * rng.normal(size=(900, 80))).astype(np.float32)
    held_out = (rng.normal(size=(400, 5)) @ factors + 0.1 * rng.normal(size=(400, 80))).astype(np.float32)
    model = fit_typicality(near, held_out, refused=0.01)
    far = held_out + 3 * rng.normal(size=held_out.shape).astype(np.float32)
    assert (model.typicality(held_out) < 0.5).mean() == pytest.approx(0.01, abs=0.005)
    assert (model.typicality(far) < 0.5).all()
    further = [float(model.typicality(held_out[:1] + step).item()) for step in (0, 5, 50, 500)]
    assert further == sorted(further, reverse=True)


def test_calibration_finds_the_scale_it_was_given() -> None:
    rng = np.random.default_rng(0)
    true_logit = rng.normal(0, 3, 20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-true_logit))
    calibration = fit_calibration(2.5 * (true_logit + 1), positive)
    assert calibration.temperature == pytest.approx(2.5, rel=0.05)
    assert calibration.bias == pytest.approx(-1, abs=0.1)
