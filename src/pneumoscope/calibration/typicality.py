"""Typicality: how like a training radiograph an input is, from a Gaussian model of the network's embedding.

The squared distance is that of probabilistic principal components: Mahalanobis inside the leading
components, and the rest of the distance over its mean variance (Moghaddam and Pentland 1997,
doi 10.1109/34.598227). Distances in feature space for telling foreign inputs: Lee et al. 2018,
arXiv 1807.03888.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 16
SHARPNESS = 3.0
_LEAST_SPREAD = 0.1  # of the median feature's


@dataclass(frozen=True, eq=False)
class TypicalityModel:
    """A Gaussian in embedding space, and how its distance becomes 0..1.

    Attributes:
        mean: ``float32 [d]``.
        scale: ``float32 [d]``, what each entry is divided by first (its standard deviation).
        components: ``float32 [d, k]``, leading directions, orthonormal.
        precision: ``float32 [k]``, one over the variance along each.
        rest_precision: one over the mean variance of the remaining directions.
        reference: log of the squared distance at which typicality is 0.5.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    components: NDArray[np.float32]
    precision: NDArray[np.float32]
    rest_precision: float
    reference: float

    def log_distance(self, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log of the squared distance per dimension: ``float32 [N, d]`` -> ``float64 [N]``."""
        x = (embedding.astype(np.float64) - self.mean) / self.scale
        along = x @ self.components
        rest = np.maximum((x * x).sum(1) - (along * along).sum(1), 0)
        squared = (along * along) @ self.precision + rest * self.rest_precision
        log_distance: NDArray[np.float64] = np.log(squared / x.shape[1] + 1e-6)
        return log_distance

    def typicality(self, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
        """0 (foreign) to 1 (typical); 0.5 at the reference distance: ``float64 [N]``."""
        return 1 / (1 + np.exp(SHARPNESS * (self.log_distance(embedding) - self.reference)))


def fit_typicality(
    embedding: NDArray[np.float32], held_out: NDArray[np.float32], *, refused: float = 0.002
) -> TypicalityModel:
    """Fit the Gaussian on training embeddings and its scale on held-out ones.

    Args:
        embedding: of training radiographs, ``float32 [N, d]``.
        held_out: of validation radiographs; typicality is 0.5 where ``refused`` of them lie farther out.
        refused: that share, 0 to 1.
    """
    mean = embedding.mean(0)
    # A feature that is almost dead has almost no spread; a floor keeps it from making every foreign input infinitely
    # far, and the rounding of a quantised graph from looking like a distance.
    spread = embedding.std(0)
    scale = np.maximum(spread, max(_LEAST_SPREAD * float(np.median(spread)), 1e-6))
    x = ((embedding - mean) / scale).astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(x, rowvar=False))
    count = min(COMPONENTS, len(variances) - 1, len(embedding) - 1)
    leading = directions[:, ::-1][:, :count]
    rest = variances[::-1][count:].mean()
    model = TypicalityModel(
        mean.astype(np.float32),
        scale.astype(np.float32),
        leading.astype(np.float32),
        (1 / np.maximum(variances[::-1][:count], 1e-6)).astype(np.float32),
        float(1 / max(rest, 1e-6)),
        0.0,
    )
    reference = float(np.quantile(model.log_distance(held_out), 1 - refused))
    return TypicalityModel(model.mean, model.scale, model.components, model.precision, model.rest_precision, reference)
