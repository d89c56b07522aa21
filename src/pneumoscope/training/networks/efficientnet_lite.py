"""EfficientNet-Lite0: the transfer network, with ImageNet weights where a recipe asks for them; whole or cut short.

EfficientNet (Tan and Le 2019, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6 in place of swish
(Liu 2020, https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite), so that 8 bits suffice.
Layers are named after the original checkpoint; ``training.pretrained`` relies on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from pneumoscope.training.networks.layers import ImageStandardization, classifier, embedding_of


@dataclass(frozen=True)
class Stage:
    """Inverted residual blocks of one width: ``repeats`` of them, the first with ``stride``."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_FILTERS = 32
HEAD_FILTERS = 1280
SHORT_HEAD_FILTERS = 384
DROPOUT = 0.2
# The stage whose maps are 14 x 14 at 224 pixels: with the last ones they are what typicality is measured on.
EMBEDDED_STAGE = 4


def _batch_norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.97, epsilon=1e-3, name=name)(x)


def _block(x: Any, stage: Stage, stride: int, name: str) -> Any:
    """Inverted residual with a linear bottleneck (Sandler et al. 2018, doi 10.1109/CVPR.2018.00474)."""
    y = x
    if stage.expansion != 1:
        y = layers.Conv2D(x.shape[-1] * stage.expansion, 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = layers.ReLU(6.0, name=f"{name}_relu0")(_batch_norm(y, f"{name}_bn0"))
    y = layers.DepthwiseConv2D(stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(y)
    y = layers.ReLU(6.0, name=f"{name}_relu1")(_batch_norm(y, f"{name}_bn1"))
    y = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(y)
    y = _batch_norm(y, f"{name}_bn2")
    if stride == 1 and x.shape[-1] == stage.filters:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _stages(x: Any, count: int) -> list[Any]:
    """The stem and so many stages: the maps after each stage."""
    x = layers.Conv2D(STEM_FILTERS, 3, 2, padding="same", use_bias=False, name="conv_stem")(x)
    x = layers.ReLU(6.0, name="stem_relu")(_batch_norm(x, "bn0"))
    maps, number = [], 0
    for stage in STAGES[:count]:
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, f"block{number}")
            number += 1
        maps.append(x)
    return maps


def lite0_features(x: Any) -> tuple[Any, Any]:
    """The convolutional part: ``[N, h, w, c]`` in; maps at a sixteenth and, 1280 wide, at a 32nd of the size out."""
    maps = _stages(x, len(STAGES))
    head = layers.Conv2D(HEAD_FILTERS, 1, use_bias=False, name="conv_head")(maps[-1])
    return maps[EMBEDDED_STAGE], layers.ReLU(6.0, name="head_relu")(_batch_norm(head, "bn1"))


def build_lite0(*, classes: int, size: int | None) -> keras.Model:
    """Build EfficientNet-Lite0 for grey images with fresh weights, 3.4 million; see ``build_network``."""
    inputs = layers.Input((size, size, 1), name="pixels")
    middle, maps = lite0_features(ImageStandardization(name="standardize")(inputs))
    pooled = layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = classifier(pooled, classes=classes, dropout=DROPOUT)
    embedding = embedding_of(middle, maps)
    return keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": embedding}, name="lite0")


def build_lite0_short(*, classes: int, size: int | None) -> keras.Model:
    """Build EfficientNet-Lite0 up to its 14 x 14 maps, with a narrow head of its own; see ``build_network``.

    0.76 million parameters. The stages left out hold most of the weights, and their maps are too coarse for a
    heatmap.
    """
    inputs = layers.Input((size, size, 1), name="pixels")
    middle = _stages(ImageStandardization(name="standardize")(inputs), EMBEDDED_STAGE + 1)[-1]
    head = layers.Conv2D(SHORT_HEAD_FILTERS, 1, use_bias=False, name="short_head")(middle)
    maps = layers.ReLU(6.0, name="head_relu")(_batch_norm(head, "short_bn"))
    pooled = layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = classifier(pooled, classes=classes, dropout=DROPOUT)
    # The head is left out of what typicality is measured on: with it, an adult's chest lies farther out.
    outputs = {"logits": logits, "maps": maps, "embedding": embedding_of(middle)}
    return keras.Model(inputs, outputs, name="lite0-short")
