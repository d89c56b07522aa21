"""The networks, by name. Each file holds one; this table is what recipes, the command line and tests read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pneumoscope.errors import TrainingError
from pneumoscope.training.networks.baseline_cnn import build_baseline_cnn
from pneumoscope.training.networks.efficientnet_lite import build_lite0, build_lite0_short
from pneumoscope.training.networks.pneumonet import build_pneumonet

if TYPE_CHECKING:
    import keras

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "lite0": build_lite0,
    "lite0-short": build_lite0_short,
    "pneumonet": build_pneumonet,
    "baseline-cnn": build_baseline_cnn,
}


def build_network(name: str, *, classes: int, size: int | None = 224) -> keras.Model:
    """Build a network with fresh weights.

    Every network takes ``float32 [N, size, size, 1]`` grey levels 0..255 and has three outputs:
    ``logits`` (``[N, 1]`` for two classes, ``[N, 3]`` for three), ``maps`` (``[N, h, w, c]``, the feature maps
    that Grad-CAM explains) and ``embedding`` (``[N, d]``, what typicality is measured on).

    Args:
        name: a key of ``NETWORKS``.
        classes: 2 or 3.
        size: height and width in pixels; ``None`` for a network that takes any size.

    Raises:
        TrainingError: no network of that name.
    """
    if name not in NETWORKS:
        raise TrainingError(f"network '{name}': unknown; there are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name](classes=classes, size=size)
