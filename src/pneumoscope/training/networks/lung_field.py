"""The lung-field network: a small U-Net that says of every pixel whether it is lung.

Encoder, decoder and skip connections as of Ronneberger et al. 2015 (doi 10.1007/978-3-319-24574-4_28), with strided
convolutions in place of pooling and repeated pixels in place of transposed convolutions, so that LiteRT's built-in
operations suffice. It sees the whole picture at 96 x 96 and costs a fortieth of EfficientNet-Lite0 at 224.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pneumoscope.training.networks.layers import ImageStandardization, conv_bn_relu

SIDE = 96
"""Height and width in pixels of what the network sees and of its mask."""

WIDTHS = (12, 20, 32, 40, 48)
"""Filters at 96, 48, 24, 12 and 6 pixels."""


def build_lung_field(*, side: int = SIDE, widths: tuple[int, ...] = WIDTHS) -> keras.Model:
    """Build the network with fresh weights, 0.18 million parameters.

    Args:
        side: height and width in pixels, a multiple of 2 to the number of widths less one.
        widths: filters of each depth.

    Returns:
        ``float32 [N, side, side, 1]`` grey levels 0..255 in; log odds of lung ``float32 [N, side, side, 1]`` out.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = conv_bn_relu(ImageStandardization(name="standardize")(pixels), widths[0], 3, "down0")
    skips = [x]
    for depth, width in enumerate(widths[1:], 1):
        x = conv_bn_relu(x, width, 3, f"down{depth}_a", stride=2)
        x = conv_bn_relu(x, width, 3, f"down{depth}_b")
        skips.append(x)
    for depth in range(len(widths) - 2, -1, -1):
        x = _up(x, skips[depth], widths[depth], depth)
    return keras.Model(pixels, layers.Conv2D(1, 1, name="lung_logits")(x), name="lung-field")


def _up(x: Any, skip: Any, width: int, depth: int) -> Any:
    """Repeat pixels, join what the encoder saw there, convolve; at full size once, since that costs the most."""
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{depth}_repeat")(x)
    x = layers.Concatenate(name=f"up{depth}_join")([x, skip])
    x = conv_bn_relu(x, width, 3, f"up{depth}_a")
    return conv_bn_relu(x, width, 3, f"up{depth}_b") if depth else x
