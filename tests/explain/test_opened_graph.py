"""The graph taken apart says what the whole graph says, and its weights can be replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from pneumoscope.errors import ModelError
from pneumoscope.evaluation.explanations.randomisation import RandomisedGraph, _convolutions, _dense_layer, cascade
from pneumoscope.explain.cams import grad_cam, grad_cam_plus_plus
from pneumoscope.explain.graph_surgery import Evidence, Flatbuffer, OpenedGraph
from pneumoscope.model.classifier import load_model
from pneumoscope.model.runtime import LiteRTRuntime
from support import phantom

# Its weights are float16. Where they are int8, activations are rounded too while the graph runs, and its log odds
# are not to the last digit what its constants say.
GRAPH = load_model(Path(__file__).parents[2] / "models" / "pneumonet.tflite").graph


@pytest.fixture(scope="module")
def flatbuffer() -> Flatbuffer:
    return Flatbuffer(GRAPH)


@pytest.fixture(scope="module")
def stages(flatbuffer: Flatbuffer) -> list[RandomisedGraph]:
    return list(cascade(flatbuffer, seed=3))


@pytest.fixture(scope="module")
def chest() -> NDArray[np.uint8]:
    return phantom.chest_phantom(224, 3, opacity=1)


@pytest.fixture(scope="module")
def evidence(flatbuffer: Flatbuffer, chest: NDArray[np.uint8]) -> Evidence:
    return OpenedGraph(flatbuffer.packed())(chest)


def stored(flatbuffer: Flatbuffer, tensor: int) -> NDArray[Any]:
    """A constant's numbers, also where the graph holds them as float16."""
    place = flatbuffer.constant(tensor)
    assert place is not None
    return flatbuffer.values(place)


def head(flatbuffer: Flatbuffer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel ``[classes, channels]`` and bias of the last dense layer."""
    kernel, bias = (
        stored(flatbuffer, int(tensor)).astype(np.float64) for tensor in _dense_layer(flatbuffer).inputs[1:]
    )
    return kernel, bias


def log_odds(means: NDArray[np.float64], kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
    """Of pneumonia, from the means of the maps."""
    normal, *sick = kernel @ means + bias
    return float(logsumexp(sick) - normal) if sick else float(normal)


@pytest.mark.parametrize("graph", [GRAPH, load_model().graph], ids=["pneumonet", "built-in"])
def test_grad_cam_is_the_graphs_own(graph: bytes, chest: NDArray[np.uint8]) -> None:
    evidence = OpenedGraph(Flatbuffer(graph).packed())(chest)
    whole = LiteRTRuntime(graph).run(chest)
    # float16 graphs round the places that a map is laid to in the picture.
    np.testing.assert_allclose(grad_cam(evidence), whole.heatmap, atol=5e-3)
    assert evidence.probability == pytest.approx(whole.probability, abs=1e-6)


def numeric_gradient(flatbuffer: Flatbuffer, evidence: Evidence) -> NDArray[np.float64]:
    kernel, bias = head(flatbuffer)
    means = evidence.maps.mean(axis=(0, 1)).astype(np.float64)
    step = 1e-4
    changes = [
        log_odds(means + step * unit, kernel, bias) - log_odds(means - step * unit, kernel, bias)
        for unit in np.eye(len(means))
    ]
    return np.array(changes) / (2 * step)


def test_weights_are_the_gradient_of_the_log_odds(flatbuffer: Flatbuffer, evidence: Evidence) -> None:
    np.testing.assert_allclose(evidence.weights, numeric_gradient(flatbuffer, evidence), atol=1e-4)


def test_a_randomised_head_is_the_same_in_the_score_and_in_the_heatmap(
    stages: list[RandomisedGraph], chest: NDArray[np.uint8], evidence: Evidence
) -> None:
    for stage in (stages[0], stages[-1]):
        changed = Flatbuffer(stage.graph)
        after = OpenedGraph(changed.packed())(chest)
        np.testing.assert_allclose(after.weights, numeric_gradient(changed, after), atol=1e-4)
        assert not np.allclose(after.weights, evidence.weights, atol=0.01)


def test_the_cascade_randomises_from_the_last_layer_to_the_first(
    flatbuffer: Flatbuffer, stages: list[RandomisedGraph], chest: NDArray[np.uint8], evidence: Evidence
) -> None:
    layers = [stage.layers for stage in stages]
    assert layers == sorted(set(layers))
    assert layers[0] == 1

    def first_of(graph: bytes) -> NDArray[np.float32]:
        """Kernel of the classifier's first convolution; the lung field's come before it and are left alone."""
        opened = Flatbuffer(graph)
        return stored(opened, int(_convolutions(opened)[0].inputs[1]))

    first_kernel = first_of(flatbuffer.packed())

    assert all(np.array_equal(first_of(stage.graph), first_kernel) for stage in stages[:-1])
    assert not np.array_equal(first_of(stages[-1].graph), first_kernel)
    np.testing.assert_array_equal(np.sort(first_of(stages[-1].graph), axis=None), np.sort(first_kernel, axis=None))
    # The maps are the trained ones as long as only the head has changed.
    heads_only = OpenedGraph(stages[0].graph)(chest)
    np.testing.assert_allclose(heads_only.maps, evidence.maps, atol=1e-5)
    # Nothing of the trained model is changed by making the others.
    assert OpenedGraph(flatbuffer.packed())(chest).probability == evidence.probability


def test_same_seed_same_weights(flatbuffer: Flatbuffer, stages: list[RandomisedGraph]) -> None:
    assert [stage.graph for stage in cascade(flatbuffer, seed=3)] == [stage.graph for stage in stages]
    assert next(cascade(flatbuffer, seed=4)).graph != stages[0].graph


def plus_plus_by_the_paper(maps: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equations 10, 12 and 19 of the paper, element by element; the gradient is given for every pixel of every map."""
    heat = np.zeros(maps.shape[:2])
    for k in range(maps.shape[2]):
        weight = 0.0
        for g in gradient[..., k].ravel():
            denominator = 2 * g**2 + (maps[..., k] * g**3).sum()
            alpha = g**2 / denominator if denominator else 0.0
            weight += alpha * max(g, 0.0)
        heat += weight * maps[..., k]
    rectified: NDArray[np.float64] = np.maximum(heat, 0)
    return rectified / max(float(heat.max()), 1e-12)


def test_grad_cam_plus_plus_is_the_papers(evidence: Evidence) -> None:
    maps = evidence.maps.astype(np.float64)
    gradient = np.broadcast_to(evidence.weights / np.prod(maps.shape[:2]), maps.shape)
    laid = evidence.laid(plus_plus_by_the_paper(maps, gradient).astype(np.float32))
    np.testing.assert_allclose(grad_cam_plus_plus(evidence), laid / laid.max(), atol=1e-5)
    assert not np.allclose(grad_cam_plus_plus(evidence), grad_cam(evidence), atol=0.02)


def test_no_evidence_is_a_blank_map() -> None:
    nothing = Evidence(0.1, np.ones((3, 3, 2), np.float32), np.array([-1, -2], np.float32))
    assert not grad_cam(nothing).any()
    assert not grad_cam_plus_plus(nothing).any()


def test_another_kind_of_heatmap_is_refused_with_what_was_found() -> None:
    changed = Flatbuffer(GRAPH)
    (signature,) = changed.model.signatureDefs
    entry = next(output for output in signature.outputs if output.name == b"heatmap")
    entry.tensorIndex = changed.output("probability")
    with pytest.raises(ModelError, match="cannot be taken apart: LOGISTIC where DIV was expected"):
        Flatbuffer(changed.packed())


def test_parts_that_do_not_give_the_heatmap_are_refused(chest: NDArray[np.uint8]) -> None:
    changed = Flatbuffer(GRAPH)
    (signature,) = changed.model.signatureDefs
    weights = next(output for output in signature.outputs if output.name == b"weights")
    weights.tensorIndex = int(_dense_layer(changed).inputs[0])  # the means of the maps: as many
    changed.subgraph.outputs = [*changed.subgraph.outputs, weights.tensorIndex]
    with pytest.raises(ModelError, match="do not give its heatmap"):
        OpenedGraph(changed.packed())(chest)


def test_a_head_of_another_kind_is_not_randomised() -> None:
    changed = Flatbuffer(GRAPH)
    dense = _dense_layer(changed)
    code = next(c for c in changed.model.operatorCodes if c is changed.model.operatorCodes[dense.opcodeIndex])
    code.builtinCode = code.deprecatedBuiltinCode = next(n for n, name in changed._names.items() if name == "SQUARE")
    with pytest.raises(ModelError, match="head is not global average pooling and one dense layer"):
        next(cascade(changed))
