"""Weights that make a shortcut worthless: in the weighted set, how a picture is framed tells nothing of its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_EDGE = 1e-4  # shortcut scores are cut here, so that their log odds stay finite


def class_weights(labels: Labels) -> Floats:
    """Weights that give either class half of the mass: ``float64 [N]``, sum 1.

    Args:
        labels: ``int64 [N]``, both classes present.

    Raises:
        DataError: one class only.
    """
    return _halves(labels, np.ones(len(labels)))


def overlap_weights(labels: Labels, shortcut: Floats) -> Floats:
    """Weights under which a shortcut score tells nothing of the label, and either class has half of the mass.

    Overlap weights (Li, Morgan and Zaslavsky, JASA 2018, doi 10.1080/01621459.2016.1260466): a pneumonia counts by the
    propensity of being normal given its shortcut score, a normal by that of pneumonia. Those that look like the other
    class count most and the typical ones hardly, and no weight exceeds 1. With a propensity from logistic regression on
    the score's log odds, their weighted mean is exactly the same in both classes (theorem 3 of the paper).

    Args:
        labels: ``int64 [N]``, both classes present.
        shortcut: ``float64 [N]``, 0..1, P(pneumonia) by the shortcut alone, out of fold.

    Returns:
        ``float64 [N]``, sum 1, one half for each class.

    Raises:
        DataError: one class only, or a shortcut score is missing.
    """
    from sklearn.linear_model import LogisticRegression

    if not np.isfinite(shortcut).all():
        raise DataError("weights cannot be made: a shortcut score is missing")
    _check_classes(labels)
    clipped = np.clip(shortcut, _EDGE, 1 - _EDGE)
    odds = np.log(clipped / (1 - clipped))[:, None]
    # Practically no regularisation: the balance is exact for the maximum of the likelihood.
    propensity = LogisticRegression(C=1e6, max_iter=1000).fit(odds, labels).predict_proba(odds)[:, 1]
    return _halves(labels, np.where(labels == 1, 1 - propensity, propensity))


def effective_size(weights: Floats) -> float:
    """Kish's effective sample size ``(sum w)^2 / sum w^2`` (Kish, Survey Sampling, 1965); 0 without weight."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def weighted_auc(labels: Labels, scores: Floats, weights: Floats) -> float:
    """Area under the weighted ROC curve, ties counting half; 0.5 where the score tells nothing.

    Args:
        labels: ``int64 [N]``, both classes present.
        scores: ``float64 [N]``.
        weights: ``float64 [N]``, not negative.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores, sample_weight=weights))


def _check_classes(labels: Labels) -> None:
    if labels.all() or not labels.any():
        raise DataError("the images are all of one class; both are needed")


def _halves(labels: Labels, weights: Floats) -> Floats:
    _check_classes(labels)
    sums = np.bincount(labels, weights=weights, minlength=2)
    return np.asarray(weights / (2 * sums[labels]), dtype=np.float64)
