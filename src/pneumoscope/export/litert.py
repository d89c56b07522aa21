"""Keras graph to LiteRT flatbuffer, by TensorFlow's converter; int8 by ``export.int8`` on top of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.contract import Quantization
from pneumoscope.errors import ExportError
from pneumoscope.export.int8 import quantize


def convert(graph: keras.Model, quantization: Quantization, representative: Sequence[NDArray[np.uint8]] = ()) -> bytes:
    """Convert a complete graph to a LiteRT flatbuffer for one image at a time.

    Args:
        graph: from ``export.graph.assemble``.
        quantization: numbers it is to compute with.
        representative: training images ``uint8 [H, W, C]``, as the graph takes them, that set the ranges of
            activations; needed for int8.

    Raises:
        ExportError: the Keras backend is not TensorFlow, or int8 without representative images.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError("export needs the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    pixels = keras.Input(batch_shape=(1, *graph.input_shape[1:]), dtype="uint8", name=graph.inputs[0].name)
    # The name is part of the file; Keras' own counts what was built before.
    single = keras.Model(pixels, graph(pixels), name="one_image")
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    _SETTINGS[quantization](converter, tf)
    with warnings.catch_warnings(), _quiet():
        # The converter warns of its own internals.
        warnings.simplefilter("ignore")
        flatbuffer: bytes = converter.convert()
    return quantize(flatbuffer, representative) if quantization is Quantization.INT8 else flatbuffer


@contextmanager
def _quiet() -> Iterator[None]:
    """The converter saves the model on its way, and Keras prints what it saved to standard output."""
    interactive = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if interactive:
            keras.config.enable_interactive_logging()


def _float32(converter: Any, tf: Any) -> None:
    """The converter's own default."""


def _float16(converter: Any, tf: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any, tf: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


_SETTINGS: dict[Quantization, Callable[[Any, Any], None]] = {
    Quantization.FLOAT32: _float32,
    Quantization.FLOAT16: _float16,
    Quantization.DYNAMIC: _dynamic,
    Quantization.INT8: _float32,
}
