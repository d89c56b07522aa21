"""Log odds: the scale on which networks speak, and back; and how well log odds rank and fit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

EDGE: Final = 1e-6
"""Probabilities are taken no closer to 0 and 1 than this, where log odds are infinite."""


def logit(p: ArrayLike, *, edge: float = EDGE) -> NDArray[np.float64]:
    """Log odds of probabilities, in nats.

    Args:
        p: 0..1, of any shape.
        edge: how close to 0 and 1 they are taken at most.
    """
    clipped = np.clip(np.asarray(p, dtype=np.float64), edge, 1 - edge)
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds


def sigmoid(log_odds: ArrayLike) -> NDArray[np.float64]:
    """The probability of log odds in nats, 0..1, of the same shape; no overflow at any size."""
    values = np.asarray(log_odds, dtype=np.float64)
    probability: NDArray[np.float64] = np.exp(-np.logaddexp(0, -values))
    return probability


def pneumonia_logit(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Log odds of pneumonia: the one logit, or log-sum-exp of the two pneumonias less the normal one.

    Args:
        logits: ``[N, 1]`` or ``[N, 3]`` in the order of :data:`~pneumoscope.labels.SUBTYPE_NAMES`.

    Returns:
        ``float64 [N]``.
    """
    values = logits.astype(np.float64)
    if values.shape[1] == 1:
        one: NDArray[np.float64] = values[:, 0]
        return one
    sick: NDArray[np.float64] = np.logaddexp(values[:, 1], values[:, 2]) - values[:, 0]
    return sick


def pneumonia_probability(logits: NDArray[Any]) -> NDArray[np.float64]:
    """P(pneumonia) from ``[N, 1]`` or ``[N, 3]`` logits, before calibration: ``float64 [N]``."""
    return sigmoid(pneumonia_logit(logits))


def balanced_nll(log_odds: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Negative log likelihood in nats, normal and pneumonia counting alike whatever their shares."""
    loss = np.logaddexp(0, np.where(positive, -log_odds, log_odds))
    return float((loss[positive].mean() + loss[~positive].mean()) / 2)


def roc_auc(log_odds: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of log odds ``float64 [N]`` for ``bool [N]``."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, log_odds))
