"""PneumoNet and EfficientNet-Lite0 side by side: their averaged logits as one network with one Grad-CAM.

Both end in global average pooling and one dense layer, so the average of their logits is one dense layer on both sets
of maps, once Lite0's 7 x 7 maps are repeated to PneumoNet's 14 x 14, which does not change their means. Averaging
networks that were trained apart makes fewer errors than either (Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

from __future__ import annotations

import keras
from keras import layers

from pneumoscope.training.networks.efficientnet_lite import build_lite0
from pneumoscope.training.networks.layers import classifier
from pneumoscope.training.networks.pneumonet import build_pneumonet

MEMBERS = ("pneumonet", "lite0")
"""In the order of their maps' channels."""


def build_pair(*, classes: int, size: int | None) -> keras.Model:
    """Build both networks on one input with fresh weights, 4.6 million parameters; see ``build_network``.

    Typicality is measured on PneumoNet's embedding.
    """
    inputs = layers.Input((size, size, 1), name="pixels")
    fine = _features(build_pneumonet(classes=classes, size=size))(inputs)
    coarse = _features(build_lite0(classes=classes, size=size))(inputs)
    repeated = layers.UpSampling2D(2, interpolation="nearest", name="repeated")(coarse["maps"])
    maps = layers.Concatenate(name="both_maps")([fine["maps"], repeated])
    pooled = layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = classifier(pooled, classes=classes)
    return keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": fine["embedding"]}, name="pair")


def _features(network: keras.Model) -> keras.Model:
    """A network without its classifier, as one layer of the pair."""
    outputs = {name: network.output[name] for name in ("maps", "embedding")}
    return keras.Model(network.input, outputs, name=network.name)
