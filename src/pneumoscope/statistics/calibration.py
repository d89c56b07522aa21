"""Calibration: how it is measured, temperature scaling, and the correction for another prevalence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics.intervals import wilson
from pneumoscope.statistics.metrics import ECE_BINS, equal_mass_bins

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram.

    Attributes:
        n: images in it, >= 1.
        mean_probability: 0..1.
        observed: share of pneumonia among them, 0..1.
        ci95: Wilson interval of ``observed``.
    """

    n: int
    mean_probability: float
    observed: float
    ci95: tuple[float, float]


def reliability_curve(
    labels: NDArray[np.int64], probabilities: Floats, bins: int = ECE_BINS
) -> tuple[ReliabilityBin, ...]:
    """Observed share of pneumonia against predicted probability, by equal-mass bins; empty bins left out.

    Args:
        labels: ``int64 [N]``, 0 or 1.
        probabilities: ``float64 [N]``, 0..1, none missing.
        bins: how many at most.
    """
    numbers = equal_mass_bins(probabilities, bins)
    curve = []
    for number in np.unique(numbers):
        inside = numbers == number
        n, hits = int(inside.sum()), int(labels[inside].sum())
        interval = wilson(hits, n)
        assert interval is not None  # n >= 1
        curve.append(ReliabilityBin(n, float(probabilities[inside].mean()), hits / n, interval))
    return tuple(curve)


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature T > 0 for which ``sigmoid(logits / T)`` has the least log loss.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599. It changes no ranking.

    Args:
        logits: ``float64 [N]`` of validation images, pneumonia positive.
        labels: ``int64 [N]``, both classes present.

    Returns:
        T, searched between 0.01 and 100; above 1 the model was over-confident.

    Raises:
        DataError: one class only, or logits that are not finite.
    """
    from scipy.optimize import minimize_scalar

    if not np.isfinite(logits).all():
        raise DataError("a temperature cannot be fitted: a logit is not finite")
    if labels.all() or not labels.any():
        raise DataError("a temperature cannot be fitted: the images are all of one class")
    signed = np.where(labels == 1, logits, -logits)

    def log_loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -signed / np.exp(log_temperature)).mean())

    bounds = (float(np.log(0.01)), float(np.log(100.0)))
    return float(np.exp(minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def shift_prior(probabilities: Floats, source_prevalence: float, target_prevalence: float) -> Floats:
    """Probabilities corrected for a prevalence other than the one they were calibrated at.

    Bayes' rule with class-conditional densities unchanged: Saerens, Latinne, Decaestecker, Neural Computation
    2002, doi 10.1162/089976602753284446, equation 2.4. A shift of the logit, so it changes no ranking.

    Args:
        probabilities: ``float64 [...]``, 0..1.
        source_prevalence: share of pneumonia where they are calibrated, strictly between 0 and 1.
        target_prevalence: share of pneumonia where they will be used, strictly between 0 and 1.

    Raises:
        DataError: a prevalence is not strictly between 0 and 1.
    """
    for name, value in (("source", source_prevalence), ("target", target_prevalence)):
        if not 0 < value < 1:
            raise DataError(f"{name} prevalence {value}: must be strictly between 0 and 1")
    positive = probabilities * (target_prevalence / source_prevalence)
    negative = (1 - probabilities) * ((1 - target_prevalence) / (1 - source_prevalence))
    return np.asarray(positive / (positive + negative), dtype=np.float64)


def estimate_prevalence(
    probabilities: Floats, source_prevalence: float, *, tolerance: float = 1e-8, iterations: int = 10_000
) -> float:
    """The prevalence of an unlabelled set, by expectation maximisation (Saerens et al. 2002, equation 2.9).

    Args:
        probabilities: ``float64 [N]``, calibrated at ``source_prevalence``.
        source_prevalence: strictly between 0 and 1.
        tolerance: stop when an iteration changes the estimate by less.
        iterations: at most.

    Returns:
        0..1; 0 or 1 itself only in the limit.

    Raises:
        DataError: no images, or the source prevalence is not strictly between 0 and 1.
    """
    if len(probabilities) == 0:
        raise DataError("a prevalence cannot be estimated from no images")
    prevalence = source_prevalence
    for _ in range(iterations):
        updated = float(shift_prior(probabilities, source_prevalence, prevalence).mean())
        if abs(updated - prevalence) < tolerance or not 0 < updated < 1:
            return updated
        prevalence = updated
    return prevalence
