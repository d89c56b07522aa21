"""A model's graph taken apart: the feature maps and channel weights that its heatmap is made of.

The graph of a one-file model computes ``heatmap = normalise(relu(sum_k weight_k * map_k))``. Here the two factors
are found in the flatbuffer and made outputs of their own, so that other explanations can be computed from the very
numbers that the model computes, without the training software.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import ModelError
from pneumoscope.explain.frame import in_picture
from pneumoscope.model.runtime import SIGNATURE

# From the heatmap back to the product of maps and weights, as the layers of `export` are converted.
_HEATMAP_CHAIN: Final = (("DIV", 0), ("RELU", 0), ("SUM", 0))
# With a lung field it is then laid into the picture: rows @ (map) @ columns, and the peak back to 1. The number says
# which input leads on.
_LAID_IN_PICTURE: Final = (("DIV", 0), ("BATCH_MATMUL", 0), ("BATCH_MATMUL", 1))
_TOLERANCE: Final = 1e-2
"""Of the hottest spot: a float16 graph rounds the cells' places when it lays a map into a picture."""
_NOT_TAKEN_APART: Final = "this model's heatmap cannot be taken apart"


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one inference gives.

    Attributes:
        probability: calibrated P(pneumonia), 0 to 1.
        maps: last feature maps, ``float32 [h, w, c]``.
        weights: of each map in Grad-CAM, ``float32 [c]``: the gradient of the log odds of pneumonia with respect
            to the map's mean.
        box: what part of the picture the maps show, ``x0, y0, x1, y1`` as shares of its width and height,
            ``float32 [4]``; ``None`` where they show the whole.
        side: cells across and down of the heatmap.
    """

    probability: float
    maps: NDArray[np.float32]
    weights: NDArray[np.float32]
    box: NDArray[np.float32] | None = None
    side: int = 0

    def laid(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map of the maps' size in the frame of the whole picture."""
        return heat if self.box is None else in_picture(heat, self.box, self.side)


class Flatbuffer:
    """A one-file model's flatbuffer as objects, with ``maps`` and ``weights`` among its outputs.

    Args:
        graph: bytes of a ``.tflite`` file.

    Raises:
        ModelError: the heatmap is not made of maps and weights in the way that is known here.
    """

    def __init__(self, graph: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
        self.model: Any = schema.ModelT.InitFromPackedBuf(bytearray(graph), 0)
        self.subgraph: Any = self.model.subgraphs[0]
        self._made_by = {int(tensor): operator for operator in self.operators() for tensor in operator.outputs}
        self.maps, self.weights = self._heatmap_factors()
        self._name_output("maps", self.maps)
        self._name_output("weights", self.weights)

    def operators(self) -> Iterator[Any]:
        """All operators, inputs before what reads them."""
        return iter(self.subgraph.operators)

    def name_of(self, operator: Any) -> str:
        """The operator's kind, such as ``CONV_2D``."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(self._names[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def maker_of(self, tensor: int) -> Any | None:
        """The operator whose output a tensor is; ``None`` for inputs and constants."""
        return self._made_by.get(int(tensor))

    def output(self, name: str) -> int:
        """The tensor of a named output."""
        (signature,) = self.model.signatureDefs
        return next(int(entry.tensorIndex) for entry in signature.outputs if entry.name == name.encode())

    def has_output(self, name: str) -> bool:
        """Whether there is an output of that name."""
        (signature,) = self.model.signatureDefs
        return any(entry.name == name.encode() for entry in signature.outputs)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(int(side) for side in self.subgraph.tensors[tensor].shape)

    def behind(self, tensors: Iterable[int]) -> list[Any]:
        """All operators that tensors depend on, in the order in which they run."""
        needed: set[int] = set()
        waiting = [int(tensor) for tensor in tensors]
        while waiting:
            maker = self.maker_of(waiting.pop())
            if maker is not None and id(maker) not in needed:
                needed.add(id(maker))
                waiting.extend(int(tensor) for tensor in maker.inputs if tensor >= 0)
        return [operator for operator in self.operators() if id(operator) in needed]

    def constant(self, tensor: int) -> int | None:
        """Where a constant is stored, also behind a ``DEQUANTIZE``: its tensor, or ``None`` for no constant."""
        maker = self.maker_of(tensor)
        if maker is not None and self.name_of(maker) == "DEQUANTIZE":
            tensor, maker = int(maker.inputs[0]), self.maker_of(int(maker.inputs[0]))
        stored = self.model.buffers[self.subgraph.tensors[tensor].buffer].data
        return tensor if maker is None and stored is not None and len(stored) > 0 else None

    def values(self, tensor: int) -> NDArray[Any]:
        """The numbers of a constant in its shape, as they are stored; a copy."""
        kind = self.subgraph.tensors[tensor].type
        numbers = {getattr(self._schema.TensorType, name.upper()): name for name in ("float32", "float16", "int8")}
        if kind not in numbers:
            raise ModelError(f"{_NOT_TAKEN_APART}: it holds weights of a type that is not known here ({kind})")
        data = np.asarray(self.model.buffers[self.subgraph.tensors[tensor].buffer].data, np.uint8)
        return data.view(numbers[kind]).reshape(self.shape(tensor)).copy()

    def with_values(self, replaced: dict[int, NDArray[Any]]) -> bytes:
        """The graph with other constants; this object stays as it is."""
        buffers = {tensor: self.model.buffers[self.subgraph.tensors[tensor].buffer] for tensor in replaced}
        before = {tensor: buffer.data for tensor, buffer in buffers.items()}
        try:
            for tensor, values in replaced.items():
                buffers[tensor].data = np.ascontiguousarray(values).view(np.uint8).ravel()
            return self.packed()
        finally:
            for tensor, data in before.items():
                buffers[tensor].data = data

    def packed(self) -> bytes:
        """The graph with two more outputs, ``maps`` and ``weights``."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _name_output(self, name: str, tensor: int) -> None:
        (signature,) = self.model.signatureDefs
        entry = self._schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), tensor
        signature.outputs.append(entry)
        self.subgraph.outputs = [*map(int, self.subgraph.outputs), tensor]

    def _heatmap_factors(self) -> tuple[int, int]:
        tensor = self.output("heatmap")
        laid = _LAID_IN_PICTURE if self.has_output("lung_box") else ()
        for expected, place in (*laid, *_HEATMAP_CHAIN):
            maker = self.maker_of(tensor)
            if maker is None or self.name_of(maker) != expected:
                found = "a constant" if maker is None else self.name_of(maker)
                raise ModelError(f"{_NOT_TAKEN_APART}: {found} where {expected} was expected")
            tensor = int(maker.inputs[place])
        product = self.maker_of(tensor)
        shapes = [] if product is None else [self.shape(int(index)) for index in product.inputs]
        if product is None or [len(shape) for shape in shapes] != [4, 4] or shapes[1][1:3] != (1, 1):
            raise ModelError(f"{_NOT_TAKEN_APART}: it is not a product of feature maps and their weights")
        return int(product.inputs[0]), int(product.inputs[1])


class OpenedGraph:
    """Runs a graph that says its evidence. May be shared by any number of threads: each gets its own interpreter.

    Args:
        graph: from :class:`Flatbuffer`.
    """

    def __init__(self, graph: bytes) -> None:
        self._graph, self._local = graph, threading.local()

    def __call__(self, pixels: NDArray[np.uint8]) -> Evidence:
        """Judge one image.

        Args:
            pixels: ``uint8 [height, width]`` grey levels at the graph's size.

        Raises:
            ModelError: what was found in the graph is not what its heatmap is made of.
        """
        run = self._runner()
        (name,) = run.get_input_details()
        result = run(**{name: pixels[None, :, :, None]})
        maps, weights = np.array(result["maps"][0]), np.array(result["weights"]).reshape(-1)
        box = np.array(result["lung_box"][0]) if "lung_box" in result else None
        evidence = Evidence(float(result["probability"][0, 0]), maps, weights, box, result["heatmap"].shape[1])
        heat = evidence.laid(np.maximum((maps * weights).sum(axis=-1), 0))
        if np.abs(heat - result["heatmap"][0] * heat.max()).max() > _TOLERANCE * heat.max():
            raise ModelError(f"{_NOT_TAKEN_APART}: the maps and weights found in it do not give its heatmap")
        return evidence

    def _runner(self) -> Any:
        if not hasattr(self._local, "run"):
            from ai_edge_litert.interpreter import Interpreter

            # The runner does not keep its interpreter alive.
            self._local.interpreter = Interpreter(model_content=self._graph, num_threads=1)
            self._local.run = self._local.interpreter.get_signature_runner(SIGNATURE)
        return self._local.run
