"""Do two heatmaps say the same, does one stay when the image shifts, and does it lie where lungs are?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.evaluation.explanations.perturbation import Heat, Pixels, upsampled

SHIFT: Final = 4
"""Pixels of the model's input that the image is shifted by, less than one cell of any network's last maps."""

_DIRECTIONS: Final = ((0, SHIFT), (0, -SHIFT), (SHIFT, 0), (-SHIFT, 0))
_STRIDE: Final = 4  # neighbouring pixels of an upsampled map say the same


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's rank correlation of two maps of the same shape, -1 to 1; NaN where one of them is constant.

    The similarity used by Adebayo et al. 2018 (arXiv 1810.03292) and by Ghorbani et al., Interpretation of Neural
    Networks is Fragile, AAAI 2019, doi 10.1609/aaai.v33i01.33013681.
    """
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def shift_stability(pixels: Pixels, heat: Heat, explain: Callable[[Pixels], Heat]) -> float:
    """Mean rank correlation of the heatmap with those of the image shifted by :data:`SHIFT` pixels, shifted back.

    An explanation should hardly change where the image hardly does: Alvarez-Melis and Jaakkola, On the Robustness of
    Interpretability Methods, 2018, arXiv 1806.08049. Edges are repeated where the shift uncovers nothing; the
    correlation is over the part that both images show.

    Args:
        pixels: ``uint8 [H, W]``.
        heat: its heatmap, ``float32 [h, w]``.
        explain: gives the heatmap of such an image.

    Returns:
        -1 to 1; NaN where a heatmap is constant.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    here = upsampled(heat, shape)[SHIFT:-SHIFT:_STRIDE, SHIFT:-SHIFT:_STRIDE]
    padded = np.pad(pixels, SHIFT, mode="edge")
    similarities = []
    for down, right in _DIRECTIONS:
        top, left = SHIFT - down, SHIFT - right
        moved = upsampled(explain(np.ascontiguousarray(padded[top:, left:][: shape[0], : shape[1]])), shape)
        back = moved[
            SHIFT + down : shape[0] - SHIFT + down : _STRIDE, SHIFT + right : shape[1] - SHIFT + right : _STRIDE
        ]
        similarities.append(rank_correlation(here, back))
    return float(np.mean(similarities))


def lung_share(heat: Heat, lungs: NDArray[np.bool_]) -> float:
    """Share of the heat that lies in the lungs, 0 to 1; NaN without heat or without lungs.

    The energy-based pointing game of Wang et al., Score-CAM, CVPR Workshops 2020, doi 10.1109/CVPRW50498.2020.00020,
    with the lung-field network's mask in place of annotations.

    Args:
        heat: ``float32 [h, w]``.
        lungs: ``bool [H, W]``, which pixels of the image are lung.
    """
    full = np.maximum(upsampled(heat, (lungs.shape[0], lungs.shape[1])), 0)
    total = float(full.sum())
    return float(full[lungs].sum()) / total if total > 0 and lungs.any() else float("nan")
