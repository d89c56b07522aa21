"""What a one-file model computes beyond its network, as Keras layers: calibration, heatmap, typicality."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pneumoscope.calibration.typicality import SHARPNESS, TypicalityModel

_package = keras.saving.register_keras_serializable("pneumoscope")


@_package
class CalibratedProbability(layers.Layer):  # type: ignore[misc]
    """Logits to calibrated P(pneumonia), and to subtype probabilities that agree with it.

    The log odds of pneumonia are divided by a temperature and shifted (Platt scaling; Guo et al. 2017,
    arXiv 1706.04599); the share of bacterial and viral within pneumonia is the network's own.
    ``[N, 1]`` or ``[N, 3]`` in; a dictionary of ``probability [N, 1]`` and, for three, ``subtype [N, 3]`` out.
    """

    def __init__(self, temperature: float, bias: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature, self.bias = temperature, bias

    def call(self, logits: Any) -> dict[str, Any]:
        """Apply the calibration."""
        if logits.shape[-1] == 1:
            return {"probability": ops.sigmoid(logits / self.temperature + self.bias)}
        sick, share = pneumonia_of_three(logits)
        probability = ops.sigmoid(sick / self.temperature + self.bias)
        return {"probability": probability, "subtype": ops.concatenate([1 - probability, probability * share], -1)}

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        return {**super().get_config(), "temperature": self.temperature, "bias": self.bias}


def pneumonia_of_three(logits: Any) -> tuple[Any, Any]:
    """Log odds of pneumonia ``[N, 1]`` and the shares of bacterial and viral in it ``[N, 2]``.

    The log odds are log-sum-exp of the two pneumonia logits less the normal one, which is exactly
    ``log(P / (1 - P))`` of the softmax.
    """
    pair = logits[:, 1:]
    largest = ops.max(pair, axis=-1, keepdims=True)
    weights = ops.exp(pair - largest)
    total = ops.sum(weights, axis=-1, keepdims=True)
    return largest + ops.log(total) - logits[:, :1], weights / total


def _normalised(weighted: Any) -> Any:
    """ReLU over the sum of maps, then 0..1 within the image: ``[N, h, w]``. Without positive evidence, zeros."""
    heat = ops.relu(weighted)
    peak = ops.max(heat, axis=(1, 2), keepdims=True)
    return heat / (peak + ops.cast(peak <= 0, "float32"))


@_package
class PooledGradCam(layers.Layer):  # type: ignore[misc]
    """Exact Grad-CAM of the pneumonia logit for global average pooling and one dense layer.

    There the gradient with respect to the last maps is constant over the map, so Grad-CAM (Selvaraju et al.
    2017, doi 10.1109/ICCV.2017.74) needs no second pass: its channel weights are the dense layer's. With three
    classes the two pneumonia columns are mixed by their shares, which is the gradient of the log odds.
    ``[maps [N, h, w, c], logits]`` in, ``[N, h, w]`` 0..1 out.
    """

    def build(self, input_shape: Any) -> None:
        """Hold the classifier's kernel."""
        channels, classes = input_shape[0][-1], input_shape[1][-1]
        self.kernel = self.add_weight(shape=(channels, classes), trainable=False, name="kernel")

    def call(self, inputs: Any) -> Any:
        """Weigh and sum the maps."""
        maps, logits = inputs
        if logits.shape[-1] == 1:
            weights = ops.ones_like(logits) * ops.transpose(self.kernel)
        else:
            _, share = pneumonia_of_three(logits)
            weights = ops.matmul(share, ops.transpose(self.kernel[:, 1:])) - ops.transpose(self.kernel[:, :1])
        return _normalised(ops.sum(maps * weights[:, None, None, :], axis=-1))


@_package
class HiddenLayerGradCam(layers.Layer):  # type: ignore[misc]
    """Exact Grad-CAM for maps, Flatten, one ReLU layer and one logit, without automatic differentiation.

    Grad-CAM averages the gradient over each map, and the hidden layer's kernel can be averaged beforehand:
    what is left is a product with a ``[c, hidden]`` matrix. ``[maps [N, h, w, c], hidden [N, hidden]]`` in,
    ``[N, h, w]`` 0..1 out.
    """

    def build(self, input_shape: Any) -> None:
        """Hold the averaged hidden kernel and the classifier's weights."""
        channels, hidden = input_shape[0][-1], input_shape[1][-1]
        self.mean_kernel = self.add_weight(shape=(channels, hidden), trainable=False, name="mean_kernel")
        self.classifier = self.add_weight(shape=(hidden,), trainable=False, name="classifier")

    def call(self, inputs: Any) -> Any:
        """Gradient through the active hidden units, then weigh and sum the maps."""
        maps, hidden = inputs
        active = ops.cast(hidden > 0, hidden.dtype) * self.classifier
        weights = ops.matmul(active, ops.transpose(self.mean_kernel))
        return _normalised(ops.sum(maps * weights[:, None, None, :], axis=-1))


@_package
class Typicality(layers.Layer):  # type: ignore[misc]
    """``TypicalityModel`` as a layer: embedding ``[N, d]`` in, ``[N, 1]`` 0..1 out."""

    def __init__(self, components: int, rest_precision: float, reference: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components, self.rest_precision, self.reference = components, rest_precision, reference

    def build(self, input_shape: Any) -> None:
        """Hold the Gaussian."""
        width = input_shape[-1]
        self.shift = self.add_weight(shape=(width,), trainable=False, name="shift")
        self.inverse_scale = self.add_weight(shape=(width,), trainable=False, name="inverse_scale")
        self.directions = self.add_weight(shape=(width, self.components), trainable=False, name="directions")
        self.precision = self.add_weight(shape=(self.components,), trainable=False, name="precision")

    def call(self, embedding: Any) -> Any:
        """Distance to the Gaussian, then 0..1."""
        x = (embedding - self.shift) * self.inverse_scale
        along = ops.square(ops.matmul(x, self.directions))
        inside = ops.sum(along * self.precision, axis=-1, keepdims=True)
        rest = ops.relu(ops.sum(ops.square(x), axis=-1, keepdims=True) - ops.sum(along, axis=-1, keepdims=True))
        distance = ops.log((inside + rest * self.rest_precision) / embedding.shape[-1] + 1e-6)
        return ops.sigmoid(SHARPNESS * (self.reference - distance))

    def set_model(self, model: TypicalityModel) -> None:
        """Take the numbers of a fitted model."""
        self.set_weights([model.mean, (1 / model.scale).astype(np.float32), model.components, model.precision])

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        own = {"components": self.components, "rest_precision": self.rest_precision, "reference": self.reference}
        return {**super().get_config(), **own}


@_package
class GreyLevels(layers.Layer):  # type: ignore[misc]
    """``uint8`` grey pixels to ``float32``, 0..255 unchanged."""

    def call(self, pixels: Any) -> Any:
        """Cast."""
        return ops.cast(pixels, "float32")
