"""Keras graph to LiteRT flatbuffer, by TensorFlow's converter; 8 bits by ``export.eight_bit`` on top of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import ExportError
from pneumoscope.export.quantize import quantize, quantize_weights
from pneumoscope.model.contract import Quantization


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
    if quantization is Quantization.FLOAT16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with warnings.catch_warnings(), _quiet():
        # The converter warns of its own internals.
        warnings.simplefilter("ignore")
        flatbuffer: bytes = converter.convert()
    if quantization is Quantization.INT8:
        return quantize(flatbuffer, representative)
    return quantize_weights(flatbuffer) if quantization is Quantization.DYNAMIC else flatbuffer


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
