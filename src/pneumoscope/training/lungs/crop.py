"""Layers that find the lungs' box in a mask and resample a picture inside it: one implementation, training and graph.

All of them are sums, products and comparisons of fixed shape, so that LiteRT's built-in operations suffice: a crop is
two matrix products whose interpolation weights are computed from the box. A box is ``[x0, y0, x1, y1]`` in shares of
the picture's width and height, ``0 <= x0 < x1 <= 1``; pixel ``j`` of ``n`` covers shares ``j / n`` to ``(j + 1) / n``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

_package = keras.saving.register_keras_serializable("pneumoscope")

MARGINS = (0.06, 0.06, 0.06, 0.10)
"""Shares of the lungs' width and height that are added on the left, above, on the right and below.

More below, where the recesses beside the diaphragm are so narrow that their rows are faint. On the 868 masks drawn by
people, 95 of 100 boxes leave every side of the mask inside or within half a percent.
"""

FAINT = 0.05
"""Rows and columns whose mass is below this share of the fullest one's do not count: stray patches beside the lungs."""

LEFT_OUT = 0.001
"""Share of what counts that may lie outside the box on each of its four sides, before the margin is added."""

SURE = 0.9
"""P(lung) from which a pixel counts as surely lung."""

LEAST_SHARE = 0.06
"""Share of the picture that must surely be lung; what radiographs have is in ``reports/lung-field``. A leg, which has
dark fields beside bright bones too, has 0.05 as a whole and more where the picture shows its middle alone."""

_SMALLEST_SIDE = 0.1


def triangle_weights(source: int, target: int) -> NDArray[np.float32]:
    """Weights ``[target, source]`` that shrink a line of pixels as Pillow's ``BILINEAR`` does, widened to antialias."""
    scale = source / target
    centres = (np.arange(target)[:, None] + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(source)[None] - centres) / max(scale, 1.0))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def crop_weights(begin: Any, end: Any, source: int, target: int) -> Any:
    """Weights ``[N, target, source]`` that resample the part ``begin`` to ``end`` (``[N, 1]`` each) of a line.

    The triangle filter of :func:`triangle_weights`, widened where the part shrinks; beyond the line's ends the
    weights of the pixels inside are used.
    """
    scale = ops.expand_dims((end - begin) * (source / target), -1)
    centres = ops.expand_dims(begin * source - 0.5, -1) + scale * ops.reshape(_steps(target) + 0.5, (1, target, 1))
    width = ops.maximum(scale, 1.0)
    distance = ops.abs(ops.reshape(_steps(source), (1, 1, source)) - centres)
    weights = ops.relu(1.0 - distance / width)
    return weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-6)


def _steps(count: int) -> Any:
    return ops.convert_to_tensor(np.arange(count, dtype=np.float32))


@_package
class FixedResize(layers.Layer):  # type: ignore[misc]
    """Squash a picture to ``side`` x ``side`` by two constant matrices: Pillow's ``BILINEAR`` without its rounding.

    ``float32 [N, H, W, 1]`` in, ``float32 [N, side, side, 1]`` out. For another size of picture, build it anew.
    """

    def __init__(self, side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side

    def call(self, pixels: Any) -> Any:
        """Rows, then columns."""
        height, width = pixels.shape[1:3]
        rows = ops.convert_to_tensor(triangle_weights(height, self.side))
        columns = ops.convert_to_tensor(triangle_weights(width, self.side).T)
        return ops.expand_dims(ops.matmul(ops.matmul(rows, pixels[..., 0]), columns), -1)

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        return {**super().get_config(), "side": self.side}


@_package
class LungBox(layers.Layer):  # type: ignore[misc]
    """The box around the lungs of a mask, and what share of the picture is surely lung.

    The mask's row and column profiles, less what is faint, are summed up, and the box runs from where
    :data:`LEFT_OUT` of the sum is reached to where all but that is, interpolated between pixels: a few stray pixels
    move it by nothing, a picture shifted by half a pixel by half a pixel. A margin is added, and the box is cut at the
    picture's edges. Where less than ``least_share`` of the picture is surely lung, the box is the whole picture.

    ``float32 [N, h, w, 1]`` mask of 0 to 1 in; a dictionary of ``box [N, 4]`` and ``share [N, 1]`` out.
    """

    def __init__(self, margins: tuple[float, ...] = MARGINS, least_share: float = LEAST_SHARE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margins, self.least_share = tuple(margins), least_share

    def call(self, mask: Any) -> dict[str, Any]:
        """Profiles, quantiles, margin."""
        # What the network doubts counts little: 0.5 and below nothing, so that haze around the lungs weighs nothing.
        sure = ops.relu(2.0 * mask[..., 0] - 1.0)
        share = ops.mean(ops.cast(mask[..., 0] > SURE, "float32"), axis=(1, 2))[:, None]
        left, above, right, below = self.margins
        x0, x1 = _extent(ops.mean(sure, axis=1), left, right)
        y0, y1 = _extent(ops.mean(sure, axis=2), above, below)
        box = ops.concatenate([x0, y0, x1, y1], axis=-1)
        found = ops.cast(share >= self.least_share, "float32")
        whole = ops.convert_to_tensor(np.array([[0, 0, 1, 1]], np.float32))
        return {"box": found * box + (1.0 - found) * whole, "share": share}

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        return {**super().get_config(), "margins": self.margins, "least_share": self.least_share}


def _extent(profile: Any, before_it: float, behind_it: float) -> tuple[Any, Any]:
    """Begin and end ``[N, 1]`` of the part of a profile ``[N, n]`` that holds its mass, with a margin."""
    n = profile.shape[-1]
    profile = ops.relu(profile - FAINT * ops.max(profile, axis=-1, keepdims=True))
    profile = profile / (ops.sum(profile, axis=-1, keepdims=True) + 1e-6) + 1e-9
    before = ops.matmul(profile, ops.convert_to_tensor(np.triu(np.ones((n, n), np.float32), 1)))
    begin, end = (
        ops.sum(ops.clip((level - before) / profile, 0.0, 1.0), axis=-1, keepdims=True) / n
        for level in (LEFT_OUT, 1 - LEFT_OUT)
    )
    size = ops.maximum(end - begin, _SMALLEST_SIDE)
    return ops.maximum(begin - before_it * size, 0.0), ops.minimum(end + behind_it * size, 1.0)


@_package
class CropToBox(layers.Layer):  # type: ignore[misc]
    """Resample what is inside a box to a square of ``side`` pixels, antialiased where it shrinks.

    ``[float32 [N, H, W, 1], box [N, 4]]`` in, ``float32 [N, side, side, 1]`` out; the aspect ratio is not kept, so that
    neither the picture's nor the patient's shape tells anything.
    """

    def __init__(self, side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side

    def call(self, inputs: Any) -> Any:
        """Two matrix products."""
        pixels, box = inputs
        height, width = pixels.shape[1:3]
        rows = crop_weights(box[:, 1:2], box[:, 3:4], height, self.side)
        columns = crop_weights(box[:, 0:1], box[:, 2:3], width, self.side)
        half = ops.matmul(rows, pixels[..., 0])
        return ops.expand_dims(ops.matmul(half, ops.transpose(columns, (0, 2, 1))), -1)

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        return {**super().get_config(), "side": self.side}


@_package
class MapInPicture(layers.Layer):  # type: ignore[misc]
    """Lay a map of what is inside a box back into the frame of the whole picture, zero outside the box.

    ``[map [N, h, w], box [N, 4]]`` in, ``[N, side, side]`` out: each cell interpolates the map at its centre, times the
    share of the cell that the box covers; then the highest value is brought back to 1, as the map had it.
    """

    def __init__(self, side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side

    def call(self, inputs: Any) -> Any:
        """Two matrix products and the peak."""
        heat, box = inputs
        rows = _back_weights(box[:, 1:2], box[:, 3:4], heat.shape[1], self.side)
        columns = _back_weights(box[:, 0:1], box[:, 2:3], heat.shape[2], self.side)
        laid = ops.matmul(ops.matmul(rows, heat), ops.transpose(columns, (0, 2, 1)))
        peak = ops.max(laid, axis=(1, 2), keepdims=True)
        return laid / (peak + ops.cast(peak <= 0, "float32"))

    def get_config(self) -> dict[str, Any]:
        """Settings for saving."""
        return {**super().get_config(), "side": self.side}


def _back_weights(begin: Any, end: Any, source: int, target: int) -> Any:
    """Weights ``[N, target, source]`` that lay a map of the part ``begin`` to ``end`` of a line onto all its cells."""
    size = end - begin
    cells = ops.reshape(_steps(target), (1, target))
    covered = ops.minimum(end, (cells + 1.0) / target) - ops.maximum(begin, cells / target)
    covered = ops.clip(covered * target, 0.0, 1.0)
    place = ((cells + 0.5) / target - begin) / size * source - 0.5
    place = ops.expand_dims(ops.clip(place, 0.0, source - 1.0), -1)
    width = ops.expand_dims(ops.maximum(source / (size * target), 1.0), -1)
    weights = ops.relu(1.0 - ops.abs(ops.reshape(_steps(source), (1, 1, source)) - place) / width)
    weights = weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-6)
    return weights * ops.expand_dims(covered, -1)
