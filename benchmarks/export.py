"""Size and speed of every exported form of one network, beside Keras and ONNX Runtime on the same network.

    pip install -e '.[benchmarks]'
    pneumoscope export RUN --out EXPORTED --quantization all
    python benchmarks/export.py EXPORTED [--builtin]

EXPORTED holds NAME.keras and NAME-QUANTIZATION.tflite. All engines take turns in one process, one image at a time, so
that all meet the same machine; in a pause before each, the threads of the engine before come to rest, and an image
that is not timed warms the next one up. Peak memory is that of a process of its own. --builtin says that NAME is the
built-in model, whose goals the headline then shows.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from common import run_process, write_result
from pneumoscope.model.contract import Quantization
from pneumoscope.model.packaging import ModelPackage, read_package

ROUNDS, WARM_UP, THREADS = 60, 5, (1, 2)
PAUSE = 0.06
"""Seconds; ONNX Runtime's threads spin for 0.05."""
FASTER_GOAL, LARGEST_MB = 3.0, 6.0

IN_KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
import pneumoscope.export.layers, pneumoscope.training.networks
model = keras.models.load_model(sys.argv[1], compile=False)
for _ in range(3):
    model.predict(np.zeros((1, 224, 224, 1), np.uint8), verbose=0)
"""
IN_LITERT = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(model_path=sys.argv[1], num_threads=1).get_signature_runner()
for _ in range(3):
    run(pixels=np.zeros((1, 224, 224, 1), np.uint8))
"""
IN_ONNX = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
for _ in range(3):
    session.run(None, {session.get_inputs()[0].name: np.zeros((1, 224, 224, 1), np.uint8)})
"""


def multiply_accumulates(graph: bytes) -> int:
    """Multiply-accumulate operations of the convolutions and dense layers of a float32 graph, for one image."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=graph, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    shape = {tensor["index"]: [int(side) for side in tensor["shape"]] for tensor in interpreter.get_tensor_details()}
    total = 0
    for operation in interpreter._get_ops_details():
        if operation["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights, result = shape[operation["inputs"][1]], shape[operation["outputs"][0]]
            # A depthwise kernel is [1, h, w, channels]: each result takes one product for each of its h x w weights.
            taken = weights[1:3] if operation["op_name"] == "DEPTHWISE_CONV_2D" else weights[1:]
            total += int(np.prod(result)) * int(np.prod(taken))
    return total


def litert_runner(graph: bytes, threads: int) -> Callable[[Any], object]:
    """Inference by LiteRT, as ``pneumoscope`` runs it."""
    from pneumoscope.model.runtime import LiteRTRuntime

    runtime = LiteRTRuntime(graph, threads=threads)
    return lambda pixels: runtime.run(pixels[0, :, :, 0])


def keras_runner(file: Path) -> Callable[[Any], object]:
    """``Model.predict`` on one image."""
    import keras

    import pneumoscope.export.layers
    import pneumoscope.training.networks  # noqa: F401  (registers the layers that the file names)

    model = keras.models.load_model(file, compile=False)
    return lambda pixels: model.predict(pixels, verbose=0)


def onnx_model(graph: bytes, folder: Path) -> Path:
    """The float32 graph as ONNX, by tf2onnx; in a process of its own, because it imports TensorFlow."""
    source, target = folder / "graph.tflite", folder / "graph.onnx"
    source.write_bytes(graph)
    options = ["--tflite", str(source), "--opset", "17", "--output", str(target)]
    subprocess.run([sys.executable, "-m", "tf2onnx.convert", *options], check=True, stderr=subprocess.DEVNULL)
    return target


def onnx_runner(file: Path, threads: int) -> Callable[[Any], object]:
    """Inference by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})


def medians(runners: dict[str, Callable[[Any], object]]) -> dict[str, float]:
    """Median milliseconds of each, all taking turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 1), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(WARM_UP + ROUNDS):
        for name, run in runners.items():
            time.sleep(PAUSE)
            run(pixels)
            begin = time.perf_counter()
            run(pixels)
            if turn >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mb(script: str, file: Path) -> float:
    """Largest resident memory of a process that loads a model and judges three images."""
    return run_process([sys.executable, "-c", script, str(file)]).peak_mb


def main(exported: Path, *, builtin: bool) -> None:
    """Measure and write ``results/export_NAME.json``."""
    (keras_file,) = exported.glob("*.keras")
    name = keras_file.stem
    files = {kind.value: exported / f"{name}-{kind}.tflite" for kind in Quantization}
    files = {kind: file for kind, file in files.items() if file.exists()}
    packages: dict[str, ModelPackage] = {kind: read_package(file) for kind, file in files.items()}
    float32 = packages[Quantization.FLOAT32.value]
    # Before anything heavy is imported here: a child's peak memory starts at its parent's.
    memory = {kind: peak_mb(IN_LITERT, file) for kind, file in files.items()}
    memory["keras"] = peak_mb(IN_KERAS, keras_file)
    with tempfile.TemporaryDirectory() as folder:
        onnx_file = onnx_model(float32.graph, Path(folder))
        memory["onnxruntime"] = peak_mb(IN_ONNX, onnx_file)
        runners: dict[str, Callable[[Any], object]] = {"keras": keras_runner(keras_file)}
        for threads in THREADS:
            runners[f"onnxruntime {threads}"] = onnx_runner(onnx_file, threads)
            for kind, package in packages.items():
                runners[f"{kind} {threads}"] = litert_runner(package.graph, threads)
        measured = medians(runners)
        sizes = {kind: file.stat().st_size for kind, file in files.items()}
        sizes |= {"keras": keras_file.stat().st_size, "onnxruntime": onnx_file.stat().st_size}
    forms: dict[str, Any] = {
        kind: {
            "bytes": sizes[kind],
            "peak_mb": memory[kind],
            "milliseconds": {
                str(threads): measured["keras" if kind == "keras" else f"{kind} {threads}"] for threads in THREADS
            },
        }
        for kind in (*files, "onnxruntime", "keras")
    }
    small = [kind for kind in files if sizes[kind] <= LARGEST_MB * 1e6]
    fastest = min(small or files, key=lambda kind: min(forms[kind]["milliseconds"].values()))
    faster = measured["keras"] / min(forms[fastest]["milliseconds"].values())
    headline = [
        (
            f"`{name}`, one image, fastest form of at most {LARGEST_MB:.0f} MB ({fastest}) against Keras predict",
            f"{faster:.1f} times faster",
            f"at least {FASTER_GOAL:.0f} times",
        ),
        (f"`{name}`, file of that form", f"{sizes[fastest] / 1e6:.2f} MB", f"at most {LARGEST_MB:.0f} MB"),
    ]
    write_result(
        f"export_{name}",
        {
            "model": name,
            "parameters": float32.contract.parameters,
            "multiply_accumulates": multiply_accumulates(float32.graph),
            "rounds": ROUNDS,
            "forms": forms,
        },
        headline=headline if builtin else [],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), builtin="--builtin" in sys.argv)
