"""Calibration, operating points and the band of uncertainty from scores."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.calibration.scores import Scores
from pneumoscope.errors import DataError
from pneumoscope.statistics.calibrated_scale import CalibratedScale, fit_scale
from pneumoscope.statistics.labelled_scores import LabelledScores
from pneumoscope.statistics.odds import sigmoid

_logger = logging.getLogger(__name__)


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


def fit_scores(scores: Scores) -> CalibratedScale:
    """The calibrated scale of scores, with operating points and the band in which the model does not know.

    Each source is a population. Where there are too few images to promise coverage, or too few patients to measure
    what is fitted on others, the scale says so and makes no promise.

    Raises:
        DataError: a population has one class only.
    """
    known = LabelledScores(
        scores.logit,
        scores.positive.astype(np.int64),
        list(scores.patients),
        [source or "images" for source in scores.sources],
        scores.shortcut,
        scores.weight,
    )
    try:
        return fit_scale(known, source=scores.made_by)
    except DataError as error:
        if known.shortcut is None or not np.isfinite(known.shortcut).any():
            raise
        # Too few images are framed against their label to weigh framing out.
        _logger.warning("calibration leaves framing out of account: %s", error)
    return fit_scale(dataclasses.replace(known, shortcut=None), source=scores.made_by)
