"""Calibration and operating points from scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.scores import Scores
from pneumoscope.model.contract import OperatingPoint
from pneumoscope.statistics.odds import sigmoid
from pneumoscope.statistics.operating_points import choose_operating_points


@dataclass(frozen=True)
class Calibration:
    """Log odds are divided by ``temperature`` and ``bias`` is added.

    Attributes:
        temperature: above 0; 1 leaves the scale alone.
        bias: in nats.
    """

    temperature: float
    bias: float

    def probability(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated P(pneumonia) of log odds ``float64 [N]``: ``float64 [N]``."""
        return sigmoid(logit / self.temperature + self.bias)


def fit_calibration(
    logit: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> Calibration:
    """Slope and intercept of the log odds by maximum likelihood (Platt 1999, Probabilistic outputs for SVMs).

    Args:
        logit: log odds of pneumonia, ``float64 [N]``.
        positive: which are pneumonia, ``bool [N]``; their weighted share is the prevalence that probabilities refer to.
        weight: what each counts, ``float64 [N]``; all alike for ``None``.
    """
    from sklearn.linear_model import LogisticRegression

    # Almost no regularisation: it only keeps the slope finite where the classes are perfectly apart.
    fitted = LogisticRegression(C=1e4).fit(logit[:, None], positive, sample_weight=weight)
    return Calibration(temperature=1 / max(float(fitted.coef_[0, 0]), 1e-3), bias=float(fitted.intercept_[0]))


def fit_operating_points(scores: Scores, calibration: Calibration) -> Mapping[str, OperatingPoint]:
    """The operating points that every model carries, by name."""
    points = choose_operating_points(scores.positive.astype(np.int64), calibration.probability(scores.logit))
    return {
        name.value: OperatingPoint(point.threshold, point.sensitivity, point.specificity)
        for name, point in points.items()
    }
