"""Class activation maps from feature maps and channel weights: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumoscope.explain.graph_surgery import Evidence

Heat = NDArray[np.float32]


def weighted_maps(evidence: Evidence) -> Heat:
    """Grad-CAM before its negative part is cut off, ``float32 [h, w]``: what speaks for and against pneumonia.

    In the frame of the whole picture, as all maps here.
    """
    return evidence.laid(np.asarray((evidence.maps * evidence.weights).sum(axis=-1), np.float32))


def grad_cam(evidence: Evidence) -> Heat:
    """Grad-CAM: positive part of the maps weighted by the mean gradient over each map.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, doi 10.1109/ICCV.2017.74.

    Returns:
        ``float32 [h, w]``, 0 to 1; all zero where nothing speaks for pneumonia.
    """
    return _normalised(evidence, (evidence.maps * evidence.weights).sum(axis=-1))


def grad_cam_plus_plus(evidence: Evidence) -> Heat:
    """Grad-CAM++: positive gradients only, each weighted so that several separate regions count alike.

    Source: Chattopadhay et al., Grad-CAM++, WACV 2018, doi 10.1109/WACV.2018.00097, equations 10, 12 and 19 with the
    exponential of the score. For a head of global average pooling and one dense layer the gradient g of map k is
    the same everywhere on the map, ``g = weight / (h * w)``, and so is alpha: ``1 / (2 + g * sum of the map)``.

    Returns:
        ``float32 [h, w]``, 0 to 1; all zero where nothing speaks for pneumonia.
    """
    gradient = evidence.weights / np.prod(evidence.maps.shape[:2])
    positive = np.maximum(gradient, 0)
    alpha = 1 / (2 + positive * evidence.maps.sum(axis=(0, 1)))
    return _normalised(evidence, (evidence.maps * (alpha * positive)).sum(axis=-1))


def _normalised(evidence: Evidence, weighted: NDArray[np.floating]) -> Heat:
    heat = evidence.laid(np.maximum(weighted, 0).astype(np.float32))
    peak = heat.max()
    return np.asarray(heat / peak if peak > 0 else heat, np.float32)
