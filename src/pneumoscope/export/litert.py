"""Keras graph to LiteRT flatbuffer, with each quantisation of TensorFlow's converter."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.atomic import fill_atomically
from pneumoscope.contract import Quantization
from pneumoscope.errors import ExportError


def convert(graph: keras.Model, quantization: Quantization, representative: Sequence[NDArray[np.uint8]] = ()) -> bytes:
    """Convert a complete graph to a LiteRT flatbuffer for one image at a time.

    Args:
        graph: from ``export.graph.assemble``.
        quantization: numbers it is to compute with.
        representative: training images ``uint8 [H, W]`` that set the ranges of activations; needed for int8.

    Raises:
        ExportError: the Keras backend is not TensorFlow, or int8 without representative images.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError("export needs the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    pixels = keras.Input(batch_shape=(1, *graph.input_shape[1:]), dtype="uint8", name="pixels")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(pixels, graph(pixels)))
    _SETTINGS[quantization](converter, representative, tf)
    with warnings.catch_warnings():
        # The converter warns of the uint8 input, which is not quantised, and of its own internals.
        warnings.simplefilter("ignore")
        flatbuffer: bytes = converter.convert()
    return flatbuffer


def _float32(converter: Any, representative: Sequence[NDArray[np.uint8]], tf: Any) -> None:
    """The converter's own default."""


def _float16(converter: Any, representative: Sequence[NDArray[np.uint8]], tf: Any) -> None:  # noqa: ARG001
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any, representative: Sequence[NDArray[np.uint8]], tf: Any) -> None:  # noqa: ARG001
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(converter: Any, representative: Sequence[NDArray[np.uint8]], tf: Any) -> None:
    if not representative:
        raise ExportError("int8: needs representative images of the training data; give --data")

    def samples() -> Iterator[list[NDArray[np.uint8]]]:
        for pixels in representative:
            yield [pixels[None, :, :, None]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]


_SETTINGS: dict[Quantization, Callable[[Any, Sequence[NDArray[np.uint8]], Any], None]] = {
    Quantization.FLOAT32: _float32,
    Quantization.FLOAT16: _float16,
    Quantization.DYNAMIC: _dynamic,
    Quantization.INT8: _int8,
}


def save_keras(graph: keras.Model, folder: Path, name: str) -> list[Path]:
    """Save a complete graph as ``NAME.keras`` and ``NAME.h5``; both load back with ``pneumoscope`` imported."""
    files = [folder / f"{name}.keras", folder / f"{name}.h5"]
    with warnings.catch_warnings():
        # Keras calls HDF5 a legacy format; it is asked for by name here.
        warnings.filterwarnings("ignore", message=".*HDF5.*legacy.*")
        for file in files:
            fill_atomically(file, graph.save)
    return files
