"""The one place that shrinks a model's input.

Training, evaluation, export and serving all call :func:`shrink`; a client in another language is held to it
by golden images. The filter was chosen by comparing native radiographs, shrunk here, with the 224 x 224
files that the published data set holds: Pillow's ``BILINEAR`` (a triangle filter widened by the reduction
factor, so antialiased) differs least from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def shrink(pixels: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """Resize grey pixels to the model's input size with an antialiasing triangle filter.

    The whole image is squashed into the target: the aspect ratio is not kept and nothing is cut off or
    padded, because that is how the training radiographs were made.

    Args:
        pixels: ``uint8 [H, W]``, 0 black to 255 white.
        width: columns wanted, in pixels.
        height: rows wanted, in pixels.

    Returns:
        ``uint8 [height, width]``, contiguous, never a view of ``pixels``.

    Raises:
        ValueError: if ``pixels`` is not a non-empty ``uint8 [H, W]`` array, or the target is not positive.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"pixels must be uint8 [H, W], got {pixels.dtype} {list(pixels.shape)}")
    if width < 1 or height < 1:
        raise ValueError(f"target must be at least 1 x 1 pixels, got {width} x {height}")
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))
