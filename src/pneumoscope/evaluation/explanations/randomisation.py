"""The model-randomisation sanity check: a heatmap must depend on what the network has learned.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, arXiv 1810.03292: layers lose their weights one after
another from the output downwards (cascading randomisation), and the explanation must change with them. A one-file
model has its batch normalisation folded into its convolutions, so weights drawn as before training would make the
activations vanish or explode; instead each layer's trained numbers are shuffled among themselves, which destroys what
was learned and keeps their distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import ModelError
from pneumoscope.explain.graph_surgery import Flatbuffer

STEPS: Final = 5
"""Groups of about as many convolutions that lose their weights one after another, after the last dense layer."""

_CONVOLUTIONS: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


@dataclass(frozen=True, eq=False)
class RandomisedGraph:
    """A graph whose upper layers have lost what they learned.

    Attributes:
        stage: what was randomised, in words.
        layers: how many layers that is.
        graph: a flatbuffer that says its evidence.
    """

    stage: str
    layers: int
    graph: bytes


def cascade(flatbuffer: Flatbuffer, *, seed: int = 0, steps: int = STEPS) -> Iterator[RandomisedGraph]:
    """Randomise the last dense layer, then convolution by convolution down to the first.

    Args:
        flatbuffer: the trained model.
        seed: of the shuffling.
        steps: into how many stages the convolutions are divided.

    Yields:
        One graph a stage; the last has no trained weight left between pixels and probability.

    Raises:
        ModelError: the head is not global average pooling and one dense layer.
    """
    random = np.random.default_rng(seed)
    replaced = _shuffled_head(flatbuffer, random)
    yield RandomisedGraph("last dense layer", 1, flatbuffer.with_values(replaced))
    convolutions = _convolutions(flatbuffer)[::-1]
    done = 0
    for group in np.array_split(np.arange(len(convolutions)), min(steps, len(convolutions))):
        for index in group:
            replaced |= _shuffled(flatbuffer, convolutions[index], random)
        done += len(group)
        stage = f"and the last {done} convolutions" if done < len(convolutions) else f"and all {done} convolutions"
        yield RandomisedGraph(stage, 1 + done, flatbuffer.with_values(replaced))


def _convolutions(flatbuffer: Flatbuffer) -> list[Any]:
    """Those of the classifier, in order; the network that finds the lungs keeps its weights, and so does the box."""
    lungs = flatbuffer.behind([flatbuffer.output("lung_box")]) if flatbuffer.has_output("lung_box") else []
    finding = {id(operator) for operator in lungs}
    classifying = [op for op in flatbuffer.behind([flatbuffer.maps]) if id(op) not in finding]
    return [op for op in classifying if flatbuffer.name_of(op) in _CONVOLUTIONS]


def _shuffled(flatbuffer: Flatbuffer, operator: Any, random: np.random.Generator) -> dict[int, NDArray[Any]]:
    """Kernel and bias of one operator, each shuffled among itself."""
    places = [flatbuffer.constant(int(tensor)) for tensor in operator.inputs[1:] if tensor >= 0]
    shuffled = {}
    for place in places:
        if place is not None:
            values = flatbuffer.values(place)
            shuffled[place] = random.permutation(values.ravel()).reshape(values.shape)
    return shuffled


def _shuffled_head(flatbuffer: Flatbuffer, random: np.random.Generator) -> dict[int, NDArray[Any]]:
    """The dense layer with its channels shuffled, and the same shuffle wherever the heatmap holds a copy of it."""
    channels = flatbuffer.shape(flatbuffer.maps)[-1]
    order = random.permutation(channels)
    dense = _dense_layer(flatbuffer)
    below = flatbuffer.behind(dense.outputs)
    above = [operator for operator in flatbuffer.behind([flatbuffer.weights]) if operator not in below]
    replaced = {}
    for operator in (dense, *above):
        for tensor in operator.inputs:
            place = flatbuffer.constant(int(tensor)) if tensor >= 0 else None
            if place is not None and channels in flatbuffer.shape(place):
                values = flatbuffer.values(place)
                replaced[place] = np.take(values, order, axis=values.shape.index(channels))
    return replaced


def _dense_layer(flatbuffer: Flatbuffer) -> Any:
    """The one that reads the mean of every map."""
    for operator in flatbuffer.behind([flatbuffer.output("probability")]):
        pooling = flatbuffer.maker_of(operator.inputs[0])
        if flatbuffer.name_of(operator) != "FULLY_CONNECTED" or pooling is None:
            continue
        if flatbuffer.name_of(pooling) == "MEAN" and int(pooling.inputs[0]) == flatbuffer.maps:
            return operator
    raise ModelError(
        "this model's head is not global average pooling and one dense layer; its weights cannot be randomised "
        "together with the copies of them that its heatmap holds"
    )
