"""Random variation of training radiographs: geometry, then photometry, on ``uint8`` grey pixels.

Everything is drawn from the generator that is passed in, so the same seed gives the same picture. OpenCV does the
heavy steps: it takes a fraction of Pillow's time, which training would otherwise wait for.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumoscope.training.recipe import Augmentation

Pixels = NDArray[np.uint8]
Box = NDArray[np.float32]

WHOLE: Box = np.array([0, 0, 1, 1], np.float32)
"""The whole picture as a box ``[x0, y0, x1, y1]``, shares of its width and height."""

_LEAST_BLUR = 0.2  # standard deviation in pixels below which a Gaussian changes nothing that can be seen
_LEVELS = np.arange(256, dtype=np.float32) / 255


def augment(
    pixels: Pixels, settings: Augmentation, rng: np.random.Generator, *, box: Box = WHOLE, size: int | None = None
) -> Pixels:
    """Vary one radiograph, or what lies in a box of it.

    Args:
        pixels: ``uint8 [H, W]`` grey levels.
        settings: largest magnitudes and probabilities.
        rng: the only source of chance.
        box: the part that is seen, ``[x0, y0, x1, y1]`` in shares of width and height.
        size: height and width of the result in pixels; those of ``pixels`` for ``None``.

    Returns:
        ``uint8 [size, size]`` or ``[H, W]``, a new array.
    """
    varied = _warp(pixels, box, pixels.shape if size is None else (size, size), settings, rng)
    if rng.random() < settings.blur:
        varied = _blurred(varied, rng.uniform(0.3, 1.5))
    elif settings.sharpen and rng.random() < settings.sharpen:
        varied = _sharpened(varied, rng.uniform(0.7, 2.5), strength=rng.uniform(0.3, 1.5))
    varied = _photometry(varied, settings, rng)
    _erase_corners(varied, settings, rng)
    _side_borders(varied, settings, rng)
    _frame(varied, settings, rng)
    return varied


def _blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Blurred by a Gaussian with this standard deviation in pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def _sharpened(pixels: Pixels, sigma: float, strength: float) -> Pixels:
    """An unsharp mask: so many times the difference from the blurred picture added."""
    return np.asarray(cv2.addWeighted(pixels, 1 + strength, _blurred(pixels, sigma), -strength, 0), np.uint8)


def _warp(pixels: Pixels, box: Box, shape: tuple[int, ...], settings: Augmentation, rng: np.random.Generator) -> Pixels:
    """One affine resampling from the stored picture for box, rotation, zoom, aspect, flip and shift."""
    angle = math.radians(settings.rotation) * rng.uniform(-1, 1)
    zoom = math.exp(settings.zoom * rng.uniform(-1, 1))
    aspect = math.exp(settings.aspect * rng.uniform(-1, 1) / 2)
    flip = -1.0 if rng.random() < settings.flip else 1.0
    shift_x, shift_y = settings.shift * rng.uniform(-1, 1, size=2)
    x0, y0, x1, y1 = _jittered(box, settings, rng) * np.tile(pixels.shape[::-1], 2)
    rows, columns = shape
    # Input pixels a step of one output pixel covers.
    across, down = (x1 - x0) / columns / (zoom * aspect), (y1 - y0) / rows * aspect / zoom
    # From output to input pixels, whose centres have whole coordinates.
    a, b = math.cos(angle) * across * flip, math.sin(angle) * across
    d, e = -math.sin(angle) * down * flip, math.cos(angle) * down
    c = (x0 + x1 - 1) / 2 - a * (columns - 1) / 2 - b * (rows - 1) / 2 + shift_x * (x1 - x0)
    f = (y0 + y1 - 1) / 2 - d * (columns - 1) / 2 - e * (rows - 1) / 2 + shift_y * (y1 - y0)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    smooth = _antialiased(pixels, across, down)
    return np.asarray(cv2.warpAffine(smooth, np.array([[a, b, c], [d, e, f]]), (columns, rows), flags=flags), np.uint8)


def _jittered(box: Box, settings: Augmentation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Each side of the box moved by its own share of the box's width or height."""
    if not settings.box:  # draws nothing, so that recipes without it see the same pictures as ever
        return box.astype(np.float64)
    sizes = np.array([box[2] - box[0], box[3] - box[1]], np.float64)
    return np.asarray(box + np.tile(sizes, 2) * settings.box * rng.uniform(-1, 1, size=4), np.float64)


def _antialiased(pixels: Pixels, across: float, down: float) -> Pixels:
    """Smoothed as much as a triangle filter widened by the shrinking factors smooths more than one that is not.

    A triangle of half-width s has the variance s^2 / 6, so a Gaussian of (s^2 - 1) / 6 is missing.
    """
    sigma_x, sigma_y = (math.sqrt(max(0.0, factor**2 - 1) / 6) for factor in (across, down))
    if max(sigma_x, sigma_y) < _LEAST_BLUR:
        return pixels
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(sigma_x, 0.05), sigmaY=max(sigma_y, 0.05)), np.uint8)


def _photometry(pixels: Pixels, settings: Augmentation, rng: np.random.Generator) -> Pixels:
    """Gamma, contrast and brightness as one table of 256 levels, then noise: another window, another detector."""
    gamma = 2 ** (settings.gamma * rng.uniform(-1, 1))
    contrast = 1 + settings.contrast * rng.uniform(-1, 1)
    brightness = settings.brightness * rng.uniform(-1, 1)
    curve = (_toned(_LEVELS**gamma, settings, rng) - 0.5) * contrast + 0.5 + brightness
    if rng.random() < settings.invert:
        curve = 1 - curve
    table: Pixels = np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)
    varied = cv2.LUT(pixels, table)
    deviation = settings.noise * max(0.0, rng.uniform(-1, 1))
    if deviation > 0:
        cv2.setRNGSeed(int(rng.integers(2**31)))  # this thread's
        noise = cv2.randn(np.empty(pixels.shape, np.int16), np.zeros(1), np.array([deviation]))
        varied = cv2.add(varied, noise, dtype=cv2.CV_8U)
    return np.asarray(varied, np.uint8)


def _toned(curve: NDArray[np.float64], settings: Augmentation, rng: np.random.Generator) -> NDArray[np.float64]:
    """An S-shaped curve or its opposite, as detectors' look-up tables differ; rises everywhere while below 1."""
    if not settings.tone:  # draws nothing, so that recipes without it see the same pictures as ever
        return curve
    strength = settings.tone * rng.uniform(-1, 1)
    toned: NDArray[np.float64] = curve - strength / math.tau * np.sin(math.tau * curve)
    return toned


def _erase_corners(pixels: Pixels, settings: Augmentation, rng: np.random.Generator) -> None:
    """Paint over an upper corner, where side markers and burnt-in text stand, so that none can be relied on."""
    if rng.random() >= settings.erase:
        return
    height, width = pixels.shape
    rows, columns = int(height * rng.uniform(0.05, 0.22)), int(width * rng.uniform(0.05, 0.22))
    left = 0 if rng.random() < 0.5 else width - columns
    pixels[:rows, left : left + columns] = rng.integers(0, 256) if rng.random() < 0.3 else pixels.mean()


def _side_borders(pixels: Pixels, settings: Augmentation, rng: np.random.Generator) -> None:
    """Black borders left and right, as an image of another aspect ratio carries."""
    if rng.random() >= settings.border:
        return
    columns = int(pixels.shape[1] * rng.uniform(0.01, 0.12))
    pixels[:, :columns] = 0
    pixels[:, pixels.shape[1] - columns :] = 0


def _frame(pixels: Pixels, settings: Augmentation, rng: np.random.Generator) -> None:
    """Black on all four sides, each of its own width, as a collimator leaves it."""
    if not settings.frame or rng.random() >= settings.frame:
        return
    height, width = pixels.shape
    top, bottom, left, right = rng.uniform(0, 0.1, size=4)
    pixels[: int(top * height)] = pixels[height - int(bottom * height) :] = 0
    pixels[:, : int(left * width)] = pixels[:, width - int(right * width) :] = 0
