"""The trained lung-field network that comes with the package, and what it says about pictures."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pneumoscope.imaging.resize import shrink
from pneumoscope.training.lungs.crop import LungBox
from pneumoscope.training.lungs.fit import lung_probability
from pneumoscope.training.networks.lung_field import SIDE, build_lung_field

WEIGHTS = "lung-field.npz"
PROVENANCE = "lung-field.json"


@dataclass(frozen=True, eq=False)
class LungFields:
    """Where the lungs of N pictures are.

    Attributes:
        masks: P(lung), ``float32 [N, 96, 96]``.
        boxes: ``[x0, y0, x1, y1]`` with the margin, shares of width and height, ``float32 [N, 4]``; the whole picture
            where no lungs were found.
        shares: share of the picture that is surely lung, ``float32 [N]``.
        found: whether that is enough, ``bool [N]``.
    """

    masks: NDArray[np.float32]
    boxes: NDArray[np.float32]
    shares: NDArray[np.float32]
    found: NDArray[np.bool_]


def lung_field_network() -> keras.Model:
    """A new copy of the trained network; see ``networks.lung_field`` for its input and output."""
    network = build_lung_field()
    network.set_weights(_weights())
    network.trainable = False
    return network


def has_shipped_weights() -> bool:
    """Whether the package holds trained weights; only while the network itself is changed it may not."""
    return (resources.files("pneumoscope.training") / "weights" / WEIGHTS).is_file()


def lung_field_provenance() -> dict[str, Any]:
    """How the shipped weights were trained, and their figures on masks held out."""
    text = (resources.files("pneumoscope.training") / "weights" / PROVENANCE).read_text("utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def find_lungs(pixels: NDArray[np.uint8], network: keras.Model | None = None) -> LungFields:
    """Masks and boxes of pictures, as the exported graph computes them but for the rounding of the small picture.

    Args:
        pixels: ``uint8 [N, H, W]`` grey levels of any size.
        network: the shipped one for ``None``.
    """
    chosen = _shared_network() if network is None else network
    small = np.stack([shrink(image, width=SIDE, height=SIDE) for image in pixels])
    masks = lung_probability(chosen, small)
    layer = LungBox()
    parts = layer(ops.convert_to_tensor(masks[..., None]))
    boxes, shares = (ops.convert_to_numpy(parts[name]) for name in ("box", "share"))
    return LungFields(masks, boxes, shares[:, 0], shares[:, 0] >= layer.least_share)


@functools.cache
def _shared_network() -> keras.Model:
    return lung_field_network()


def _weights() -> list[NDArray[np.float32]]:
    with (resources.files("pneumoscope.training") / "weights" / WEIGHTS).open("rb") as stream, np.load(stream) as saved:
        return [saved[name] for name in saved.files]
