"""8 bits where they hold: the network computes in int8, the ends of the graph stay in float.

Standardisation (mean and variance over the whole image) and the ends (calibration, heatmap, typicality: squares,
logarithms and products of small numbers) do not survive 8 bits; they are a thousandth of the operations. So the
float32 graph is quantised operation by operation with ``ai-edge-quantizer``: weights symmetric per channel,
activations per tensor. Their ranges come from training images in the int8 form, from each image itself in the dynamic
one.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import ExportError
from pneumoscope.model.contract import Quantization
from pneumoscope.model.runtime import SIGNATURE

FLOAT_ENDS = (
    *("grey_levels", "standardize", "classifier", "calibrated", "heatmap", "heatmap_in_picture", "typicality"),
    *("lung_picture", "lung_logits", "lung_mask", "lung_box", "lung_crop"),
)
"""Layers that stay in float, by name; ``export.graph`` and every network name them so."""

FLOAT_STARTS = (r"lite0[\w-]*/conv_stem", r"lite0[\w-]*/block[0-2]_", r"baseline-cnn\w*/conv[01]_")
"""The first layers of EfficientNet-Lite0 and of the baseline CNN stay in float too: most of the rounding error in a
hundredth of the weights."""

# Depthwise convolutions are not among them: XNNPACK has none that quantises activations on the way, and they hold few
# weights.
_DYNAMIC = frozenset({"CONV_2D", "FULLY_CONNECTED"})
_WITH_WEIGHTS = _DYNAMIC | {"DEPTHWISE_CONV_2D"}
# Int8 only where all they take is int8 already: a constant added in float stays exact.
_BETWEEN = frozenset({"ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE"})


@dataclass(frozen=True)
class Operation:
    """An operation of a LiteRT graph.

    Attributes:
        kind: name of the operation, as in ``CONV_2D``.
        tensor: name of what it computes; converters put the layers' names into it.
    """

    kind: str
    tensor: str


def int8_operations(graph: bytes, float_starts: Sequence[str] = FLOAT_STARTS) -> tuple[Operation, ...]:
    """The operations of a float32 graph that int8 suits, in order.

    Convolutions and dense layers outside :data:`FLOAT_ENDS` and of no name that ``float_starts`` match, and what merely
    passes their results on.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=graph,
        # Without delegates every operation is still there by name.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    # A layer is one part of the path, numbered by the converter: the graph itself may be called "pair-classifier".
    ends = rf"(^|[/;])({'|'.join(FLOAT_ENDS)})(_\d+)?([/;]|$)"
    in_float = re.compile("|".join((ends, *float_starts)))
    chosen: list[Operation] = []
    int8: set[int] = set()
    for operation in interpreter._get_ops_details():
        kind, results = operation["op_name"], [int(index) for index in operation["outputs"]]
        name = tensors[results[0]]["name"]
        numbers = {int(i) for i in operation["inputs"] if i >= 0 and tensors[i]["dtype"] is np.float32}
        if (kind in _WITH_WEIGHTS or (kind in _BETWEEN and numbers <= int8)) and not in_float.search(name):
            chosen.append(Operation(kind, name))
            int8.update(results)
    return tuple(chosen)


def quantize(
    graph: bytes, representative: Sequence[NDArray[np.uint8]], *, float_starts: Sequence[str] = FLOAT_STARTS
) -> bytes:
    """Quantise weights and activations of the network inside a float32 graph.

    Args:
        graph: float32 LiteRT flatbuffer of a complete graph.
        representative: training images ``uint8 [H, W, C]``; their smallest and largest activations set the ranges.
        float_starts: patterns of the first layers that stay in float.

    Raises:
        ExportError: no representative images, or nothing in the graph that int8 suits.
    """
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    if len(representative) == 0:
        raise ExportError("int8: needs representative images of the training data")
    name = _input_name(graph)
    with _quietly():
        recipe = _recipe(int8_operations(graph, float_starts), Quantization.INT8)
        # The default, a moving average, would clip what a tenth of the radiographs reach.
        ranges = calibrator.Calibrator(bytearray(graph), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        ranges.calibrate({SIGNATURE: [{name: pixels[None]} for pixels in representative]}, recipe)
        return _quantized(graph, recipe, ranges.get_model_qsvs())


def quantize_weights(graph: bytes, *, float_starts: Sequence[str] = FLOAT_STARTS) -> bytes:
    """Quantise the network inside a float32 graph, activations by each image's own range while it runs.

    Args:
        graph: float32 LiteRT flatbuffer of a complete graph.
        float_starts: patterns of the first layers that stay in float.

    Raises:
        ExportError: nothing in the graph that int8 suits.
    """
    operations = [each for each in int8_operations(graph, float_starts) if each.kind in _DYNAMIC]
    with _quietly():
        return _quantized(graph, _recipe(operations, Quantization.DYNAMIC))


def _recipe(operations: Sequence[Operation], quantization: Quantization) -> Any:
    """The quantiser's ``RecipeManager`` for these operations."""
    from ai_edge_quantizer import qtyping, recipe_manager

    if not operations:
        raise ExportError(f"{quantization}: the graph has no convolution or dense layer outside its float ends")
    recipe = recipe_manager.RecipeManager()
    for operation in operations:
        kind, pattern = qtyping.TFLOperationName(operation.kind), f"^{re.escape(operation.tensor)};?$"
        if quantization is Quantization.INT8:
            recipe.add_static_config(pattern, kind, activation_num_bits=8, weight_num_bits=8)
        else:
            recipe.add_dynamic_config(pattern, kind, num_bits=8)
    return recipe


def _quantized(graph: bytes, recipe: Any, ranges: Any = None) -> bytes:
    from ai_edge_quantizer import quantizer

    maker = quantizer.Quantizer(bytearray(graph), recipe.get_quantization_recipe())
    return _self_contained(bytes(maker.quantize(ranges).quantized_model))


def _self_contained(graph: bytes) -> bytes:
    """The same graph with its weights inside the flatbuffer.

    The quantiser puts those of all but small graphs behind it. Older runtimes do not look there, and what adds
    metadata to the flatbuffer loses them.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(graph)
    for buffer in model.buffers:
        if buffer.data is not None:  # an array is written in one go, bytes one by one
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _input_name(graph: bytes) -> str:
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=graph)
    (name,) = interpreter.get_signature_list()[SIGNATURE]["inputs"]
    return str(name)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the quantiser's progress bars, size report and warnings."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
