"""Layers that more than one network uses."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("pneumoscope")
class ImageStandardization(layers.Layer):  # type: ignore[misc]
    """Each image to mean 0 and standard deviation 1, so that exposure and window do not matter.

    ``float32 [N, h, w, 1]`` grey levels 0..255 in, the same shape out. A constant image gives zeros. Computes in
    float32 under any precision policy: with 8 bits of mantissa, squares of grey levels would lose the deviation.
    """

    def __init__(self, **kwargs: Any) -> None:  # Keras saves the layer's name only where they are called so
        """Take Keras' settings of a layer."""
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, inputs: Any) -> Any:
        """Standardise over height, width and channel of each image."""
        mean = keras.ops.mean(inputs, axis=(1, 2, 3), keepdims=True)
        centred = inputs - mean
        variance = keras.ops.mean(centred * centred, axis=(1, 2, 3), keepdims=True)
        # One grey level is added to the variance: noise in an almost constant image is not blown up.
        return centred * keras.ops.rsqrt(variance + 1.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape does not change."""
        return input_shape


def conv_bn_relu(x: Any, filters: int, kernel: int, name: str, *, stride: int = 1) -> Any:
    """Convolution without bias, batch normalisation, ReLU: foldable into one quantised operation."""
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def classifier(features: Any, *, classes: int, dropout: float = 0.0) -> Any:
    """Dropout and the dense layer that gives the logits.

    Args:
        features: ``[N, c]``.
        classes: 3, or 2 for a single logit.
        dropout: share of features left out while training.

    Returns:
        ``float32 [N, 3]`` or ``[N, 1]``, under mixed precision too, since probabilities near 0 and 1 need the digits.
    """
    if dropout:
        # `train` sets the generator's state anew in each epoch; without a seed here PyTorch would not use it.
        features = layers.Dropout(dropout, seed=0, name="dropout")(features)
    return layers.Dense(classes if classes > 2 else 1, dtype="float32", name="classifier")(features)


def embedding_of(*maps: Any) -> Any:
    """The vector that typicality is measured on: the channel means of feature maps of several depths.

    Args:
        maps: ``[N, h, w, c]`` each.

    Returns:
        ``[N, d]``, ``d`` the sum of the channels.
    """
    pooled = [layers.GlobalAveragePooling2D(name=f"pooled_{depth}")(each) for depth, each in enumerate(maps)]
    return layers.Concatenate(name="embedding")(pooled) if len(pooled) > 1 else pooled[0]
