"""An affine map of the log odds, set into a finished LiteRT graph: two operators before its last sigmoid.

So a calibrated model stays one file that every client runs as it is, and its subtypes, which are computed from the
probability, agree with it. Two operations on one number cost nothing that can be measured.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pneumoscope.errors import ModelError

OUTPUT: Final = "probability"


def with_affine(graph: bytes, slope: float, intercept: float) -> bytes:
    """The graph whose log odds are ``slope`` times what they were, plus ``intercept``.

    Args:
        graph: bytes of a LiteRT flatbuffer.
        slope: above 0.
        intercept: in nats.

    Raises:
        ModelError: its probability is not made by a sigmoid of one float32 number.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(bytearray(graph), 0)
    subgraph = model.subgraphs[0]
    sigmoid = _maker_of_output(schema, model, subgraph)
    logit = int(sigmoid.inputs[0])
    if subgraph.tensors[logit].type != schema.TensorType.FLOAT32 or sigmoid is None:
        raise ModelError("this model's probability is not made in float32, so it cannot be calibrated anew")
    scaled = _new_tensor(schema, model, subgraph, "recalibrated/scaled", logit)
    shifted = _new_tensor(schema, model, subgraph, "recalibrated/shifted", logit)
    multiply = _operator(schema, model, "MUL", [logit, _constant(schema, model, subgraph, "slope", slope)], scaled)
    add = _operator(schema, model, "ADD", [scaled, _constant(schema, model, subgraph, "intercept", intercept)], shifted)
    sigmoid.inputs = [shifted]
    place = next(index for index, operator in enumerate(subgraph.operators) if operator is sigmoid)
    subgraph.operators[place:place] = [multiply, add]
    builder = flatbuffers.Builder(len(graph) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _maker_of_output(schema: Any, model: Any, subgraph: Any) -> Any:
    (signature,) = model.signatureDefs
    tensor = next(int(entry.tensorIndex) for entry in signature.outputs if entry.name == OUTPUT.encode())
    for operator in subgraph.operators:
        if tensor in [int(index) for index in operator.outputs]:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.LOGISTIC:
                return operator
    raise ModelError("this model's probability is not made by a sigmoid, so it cannot be calibrated anew")


def _new_tensor(schema: Any, model: Any, subgraph: Any, name: str, like: int) -> int:
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.shape, tensor.type = subgraph.tensors[like].shape, schema.TensorType.FLOAT32
    tensor.shapeSignature = subgraph.tensors[like].shapeSignature
    tensor.name = _free_name(subgraph, name)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _constant(schema: Any, model: Any, subgraph: Any, name: str, value: float) -> int:
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.shape, tensor.type = [1], schema.TensorType.FLOAT32
    tensor.name = _free_name(subgraph, f"recalibrated/{name}")
    buffer.data = np.frombuffer(np.float32(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _free_name(subgraph: Any, name: str) -> bytes:
    """A name that no tensor has: a model may be calibrated more than once."""
    taken = {bytes(tensor.name or b"") for tensor in subgraph.tensors}
    number = 1
    while (free := f"{name}{'' if number == 1 else number}".encode()) in taken:
        number += 1
    return free


def _operator(schema: Any, model: Any, kind: str, inputs: list[int], output: int) -> Any:
    code = getattr(schema.BuiltinOperator, kind)
    known = [max(entry.builtinCode, entry.deprecatedBuiltinCode) for entry in model.operatorCodes]
    if code not in known:
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
        known.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = known.index(code), inputs, [output]
    options = {"MUL": ("MulOptions", schema.MulOptionsT), "ADD": ("AddOptions", schema.AddOptionsT)}[kind]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, options[0])
    operator.builtinOptions = options[1]()
    return operator
