"""Variation of radiographs and their lung masks, far beyond what a chest radiograph shows.

Children of one hospital must teach the network adults, other collimation, whited-out lungs, tubes and pictures that
are no chest at all. What hides lung by disease (a painted opacity) leaves the mask; what hides it from the detector
(a crop, a bar, a frame) cuts the mask. Everything is drawn from the generator that is passed in.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumoscope.training.networks.lung_field import SIDE

Plane = NDArray[np.float32]

NO_CHEST = 0.06
"""Share of pictures that are turned into noise or into shuffled tiles, with an empty mask."""

_COLUMNS, _ROWS = np.meshgrid(np.arange(SIDE, dtype=np.float32) / SIDE, np.arange(SIDE, dtype=np.float32) / SIDE)


def vary(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Vary one radiograph with its mask.

    Args:
        pixels: ``uint8 [S, S]`` grey levels; larger than ``SIDE``, so that a crop is no blur.
        mask: ``uint8 [S, S]``, 255 lung.
        rng: the only source of chance.

    Returns:
        Grey levels ``float32 [SIDE, SIDE]`` 0..255, whole numbers, and mask ``float32 [SIDE, SIDE]`` 0..1.
    """
    grey, lungs = _warp(pixels, mask, rng)
    grey = _opacities(grey, lungs, rng)
    _tubes(grey, rng)
    _markers(grey, rng)
    _collimate(grey, lungs, rng)
    if rng.random() < NO_CHEST:
        grey, lungs = _no_chest(grey, rng), np.zeros_like(lungs)
    return np.round(_tone(grey, rng)), lungs


def _warp(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Rotation, zoom, aspect, shift and flip as one resampling; a tenth far wider or taller, which leaves bars."""
    strength = 1.0 if rng.random() < 0.8 else 0.0
    angle = rng.normal(0, 9) * strength + (rng.uniform(-30, 30) if rng.random() < 0.15 else 0)
    zoom, aspect = math.exp(rng.normal(0, 0.18) * strength), math.exp(rng.normal(0, 0.13) * strength)
    shown = np.array([zoom * aspect, zoom / aspect])  # above 1 more than the picture, below 1 a part of it
    if rng.random() < 0.1:
        shown[int(rng.random() < 0.3)] *= rng.uniform(1.1, 1.9)
    across, down = np.clip(shown, 0.5, 2.2) * pixels.shape[0] / SIDE
    flip = -1.0 if rng.random() < 0.5 else 1.0
    shift = rng.normal(0, 0.09, 2) * strength * pixels.shape[0]
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = np.array([[across * flip * cos, -down * sin], [across * flip * sin, down * cos]])
    middle = (pixels.shape[0] - 1) / 2 + shift - turned @ np.full(2, (SIDE - 1) / 2)
    back = np.column_stack([turned, middle])
    level = rng.uniform(0, 255) if rng.random() < 0.18 else 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = cv2.warpAffine(pixels, back, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=level)
    lungs = cv2.warpAffine(mask, back, (SIDE, SIDE), flags=flags)
    return np.asarray(grey, np.float32), np.asarray(lungs, np.float32) / np.float32(255)


def _opacities(grey: Plane, lungs: Plane, rng: np.random.Generator) -> Plane:
    """Whole lungs or parts of them painted white, and soft bright patches; the mask stays."""
    inside = float(lungs.sum())
    if inside < 1:
        return grey
    centre = float((lungs * _COLUMNS).sum()) / inside
    around = float((grey * (1 - lungs)).sum() / max(1.0, float((1 - lungs).sum())))
    level = min(245.0, max(around, float((grey * lungs).sum()) / inside) * rng.uniform(0.9, 1.35))
    if rng.random() < 0.3:
        # The lung alone, or, more rarely, that half of the chest: its edge is gone too.
        soft = _blurred(lungs, rng.uniform(1, 2.5)) if rng.random() < 0.85 else np.minimum(1, _blurred(lungs, 5) * 1.3)
        white = soft * _part(centre, rng) * rng.uniform(0.5, 1)
        grey = grey * (1 - white) + white * level * (1 + 0.06 * _clouds(7, rng))
    for _ in range(rng.poisson(0.6)):
        x, y = centre + rng.uniform(-0.35, 0.35), rng.uniform(0.1, 0.9)
        wide, high = rng.uniform(0.03, 0.22, 2)
        patch = np.exp(-(((_COLUMNS - x) / wide) ** 2) - ((_ROWS - y) / high) ** 2) * rng.uniform(0.2, 1)
        grey = grey * (1 - patch) + patch * level
    return grey


def _part(centre: float, rng: np.random.Generator) -> Plane:
    """Which part of the chest turns white: one side mostly, and below or above a slanted line."""
    left = np.asarray(centre > _COLUMNS, np.float32)
    side = (left, 1 - left, np.ones_like(left))[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
    height, slope = rng.uniform(-0.4, 1.1), rng.normal(0, 0.4)
    below = 1 / (1 + np.exp(-25 * np.clip(_ROWS - height + slope * (_COLUMNS - 0.5), -1, 1)))
    return np.asarray(side * (below if rng.random() < 0.75 else 1 - below), np.float32)


def _tubes(grey: Plane, rng: np.random.Generator) -> None:
    """Tubes and leads: bright quadratic curves."""
    t = np.linspace(0, 1, 24)[:, None]
    for _ in range(rng.poisson(0.4)):
        a, b, c = rng.uniform(-0.1, 1.1, (3, 2)) * SIDE
        curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
        drawn = np.zeros((SIDE, SIDE), np.uint8)
        points = np.round(curve * 16).astype(np.int32)[None]
        cv2.polylines(drawn, points, False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
        share = drawn.astype(np.float32) / 255 * rng.uniform(0.2, 1)
        grey += share * (rng.uniform(120, 255) - grey)


def _markers(grey: Plane, rng: np.random.Generator) -> None:
    """Side markers, electrodes and burnt-in letters: small bright boxes."""
    for _ in range(rng.poisson(0.5)):
        (x, y), (wide, high) = rng.uniform(0, SIDE, 2), rng.uniform(1, 6, 2)
        rows = slice(max(0, int(y - high)), int(y + high) + 1)
        columns = slice(max(0, int(x - wide)), int(x + wide) + 1)
        grey[rows, columns] += rng.uniform(0.3, 1) * (rng.uniform(150, 255) - grey[rows, columns])


def _collimate(grey: Plane, lungs: Plane, rng: np.random.Generator) -> None:
    """Bars on some of the four sides, which hide lungs too."""
    hidden = np.zeros((SIDE, SIDE), bool)
    widths = [int(SIDE * rng.uniform(0, 0.18)) if rng.random() < 0.12 else 0 for _ in range(4)]
    hidden[: widths[0]] = hidden[:, : widths[1]] = True
    hidden[SIDE - widths[2] :] = hidden[:, SIDE - widths[3] :] = True
    grey[hidden] = rng.uniform(0, 30) if rng.random() < 0.7 else rng.uniform(0, 255)
    lungs[hidden] = 0


def _no_chest(grey: Plane, rng: np.random.Generator) -> Plane:
    """Noise of several scales, or the picture cut into 16 tiles and shuffled."""
    if rng.random() < 0.5:
        fine = rng.normal(0, rng.uniform(0, 0.5), grey.shape)
        return np.asarray(128 + 50 * (_clouds(4, rng) + 0.6 * _clouds(12, rng) + fine), np.float32)
    tile = SIDE // 4
    tiles = grey.reshape(4, tile, 4, tile).transpose(0, 2, 1, 3).reshape(16, tile, tile)
    return rng.permutation(tiles).reshape(4, 4, tile, tile).transpose(0, 2, 1, 3).reshape(SIDE, SIDE)


def _tone(grey: Plane, rng: np.random.Generator) -> Plane:
    """Gamma, shading, contrast, brightness, blur and noise, 0..255."""
    low, high = float(grey.min()), float(grey.max())
    toned = np.clip((grey - low) / (high - low + 1), 0, 1) ** math.exp(rng.normal(0, 0.38))
    if rng.random() < 0.4:
        toned = toned + rng.normal(0, 0.25) * (_COLUMNS - 0.5) + rng.normal(0, 0.25) * (_ROWS - 0.5)
    if rng.random() < 0.3:
        toned = toned + 0.06 * _clouds(5, rng)
    toned = (toned - 0.5) * math.exp(rng.normal(0, 0.25)) + 0.5 + rng.normal(0, 0.1)
    if rng.random() < 0.25:
        toned = _blurred(toned.astype(np.float32), rng.uniform(0.5, 1.5))
    if rng.random() < 0.4:
        toned = toned + rng.normal(0, rng.uniform(0, 0.06), toned.shape)
    return np.asarray(np.clip(toned, 0, 1) * 255, np.float32)


def _clouds(cells: int, rng: np.random.Generator) -> Plane:
    """Smooth noise of deviation about 1 with so many cells across."""
    return np.asarray(cv2.resize(rng.normal(size=(cells, cells)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma))
