"""PneumoNet: a compact residual CNN for chest radiographs, trained from scratch.

Basic residual blocks (He et al. 2016, doi 10.1109/CVPR.2016.90) of plain 3 x 3 convolutions, which train and
quantise better on a CPU than depthwise ones. The last maps are kept at 14 x 14, so that the exact Grad-CAM
that global average pooling gives (Zhou et al. 2016, doi 10.1109/CVPR.2016.319) is fine enough to look at.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pneumoscope.training.networks.layers import ImageStandardization, classifier, conv_bn_relu, embedding_of

# (filters, stride) of each residual block; strides bring 56 x 56 to 14 x 14.
BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (160, 1))
DROPOUT = 0.2


def residual_block(x: Any, filters: int, stride: int, name: str) -> Any:
    """Two 3 x 3 convolutions and a shortcut; a shrinking shortcut averages before it projects (ResNet-D)."""
    y = conv_bn_relu(x, filters, 3, f"{name}_a", stride=stride)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_b_conv")(y)
    y = layers.BatchNormalization(momentum=0.95, name=f"{name}_b_bn")(y)
    if stride != 1:
        x = layers.AveragePooling2D(stride, padding="same", name=f"{name}_pool")(x)
    if x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_skip_conv")(x)
        x = layers.BatchNormalization(momentum=0.95, name=f"{name}_skip_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def build_pneumonet(*, classes: int, size: int | None) -> keras.Model:
    """Build PneumoNet with fresh weights, 1.16 million parameters; see ``build_network`` for the outputs."""
    inputs = layers.Input((size, size, 1), name="pixels")
    x = ImageStandardization(name="standardize")(inputs)
    x = conv_bn_relu(x, 24, 5, "stem", stride=2)
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    for index, (filters, stride) in enumerate(BLOCKS):
        x = residual_block(x, filters, stride, f"block{index}")
    maps = conv_bn_relu(x, 256, 1, "head")
    pooled = layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = classifier(pooled, classes=classes, dropout=DROPOUT)
    embedding = embedding_of(x, maps)
    return keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": embedding}, name="pneumonet")
