"""Several networks of one kind as one network: the mean of their log odds, with one exact Grad-CAM.

Each ends in global average pooling and one dense layer, so the mean of their logits is one dense layer on all their
maps side by side. Networks that were trained apart make fewer errors together than any of them
(Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from pneumoscope.errors import TrainingError
from pneumoscope.training.networks.layers import classifier


def join(members: Sequence[keras.Model], *, name: str) -> keras.Model:
    """One network of several with the same architecture; nothing is trained.

    Args:
        members: of ``build_network``, at least two, of one input size and as many classes.
        name: of the joined network.

    Returns:
        A network as ``build_network`` describes; typicality is measured on the first member's embedding, whose
        held-out fold it can be judged on.

    Raises:
        TrainingError: a member does not end in pooled maps and one dense layer.
    """
    size, classes = members[0].input_shape[1], members[0].output["logits"].shape[-1]
    inputs = layers.Input((size, size, 1), name="pixels")
    parts = [_features(member, f"{member.name}-{number}")(inputs) for number, member in enumerate(members)]
    maps = layers.Concatenate(name="all_maps")([part["maps"] for part in parts])
    logits = classifier(layers.GlobalAveragePooling2D(name="pool")(maps), classes=3 if classes == 3 else 2)
    network = keras.Model(inputs, {"logits": logits, "maps": maps, "embedding": parts[0]["embedding"]}, name=name)
    heads = [member.get_layer("classifier").get_weights() for member in members]
    kernel = np.concatenate([weights[0] for weights in heads]) / len(heads)
    network.get_layer("classifier").set_weights([kernel, np.mean([weights[1] for weights in heads], axis=0)])
    return network


def _features(member: keras.Model, name: str) -> keras.Model:
    """A network without its classifier, as one layer of the joined one."""
    if any(layer.name == "hidden" for layer in member.layers):
        raise TrainingError(f"{member.name}: has a hidden layer and cannot be joined")
    outputs = {part: member.output[part] for part in ("maps", "embedding")}
    return keras.Model(member.input, outputs, name=name)
