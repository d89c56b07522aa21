"""Calibration, decision curve and coverage against second implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from pneumoscope.errors import DataError
from pneumoscope.statistics.calibration import estimate_prevalence, fit_temperature, reliability_curve, shift_prior
from pneumoscope.statistics.decision_curve import decision_curve
from pneumoscope.statistics.selective import coverage_curve


def test_reliability_curve_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores = random.random(300)
    labels = (random.random(300) < scores).astype(np.int64)
    bins = reliability_curve(labels, scores, bins=10)
    observed, predicted = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    assert [b.observed for b in bins] == pytest.approx(observed.tolist())
    assert [b.mean_probability for b in bins] == pytest.approx(predicted.tolist())
    assert sum(b.n for b in bins) == 300
    assert all(b.ci95[0] <= b.observed <= b.ci95[1] for b in bins)


def test_temperature_agrees_with_logistic_regression_without_intercept() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=2000) * 6
    labels = (random.random(2000) < expit(logits / 3)).astype(np.int64)
    fitted = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(1 / fitted.coef_[0, 0], rel=1e-3)
    assert temperature == pytest.approx(3, rel=0.1)


def test_temperature_needs_both_classes_and_finite_logits() -> None:
    with pytest.raises(DataError, match="one class"):
        fit_temperature(np.array([1.0, 2.0]), np.array([1, 1]))
    with pytest.raises(DataError, match="not finite"):
        fit_temperature(np.array([np.inf, 2.0]), np.array([0, 1]))


def test_prior_shift_moves_the_logit_by_the_change_of_log_odds() -> None:
    p = np.array([0.01, 0.3, 0.9])
    assert logit(shift_prior(p, 0.74, 0.4)) == pytest.approx(logit(p) + logit(0.4) - logit(0.74))
    assert shift_prior(shift_prior(p, 0.74, 0.4), 0.4, 0.74) == pytest.approx(p)
    with pytest.raises(DataError, match="target prevalence"):
        shift_prior(p, 0.74, 1.0)


def test_prevalence_is_found_by_expectation_maximisation() -> None:
    random = np.random.default_rng(2)
    labels = random.random(20_000) < 0.2
    x = random.normal(size=20_000) + 2 * labels
    at_half = expit(2 * x - 2)  # the true posterior at prevalence 0.5
    assert estimate_prevalence(at_half, 0.5) == pytest.approx(0.2, abs=0.01)
    with pytest.raises(DataError, match="no images"):
        estimate_prevalence(np.zeros(0), 0.5)


def test_decision_curve_agrees_with_counting() -> None:
    random = np.random.default_rng(3)
    labels, scores = random.integers(0, 2, 80), random.random(80)
    curve = decision_curve(labels, scores)
    for t, model, everyone in zip(curve.thresholds, curve.model, curve.treat_all, strict=True):
        tp = sum(1 for y, p in zip(labels, scores, strict=True) if p >= t and y == 1)
        fp = sum(1 for y, p in zip(labels, scores, strict=True) if p >= t and y == 0)
        assert model == pytest.approx(tp / 80 - fp / 80 * t / (1 - t))
        assert everyone == pytest.approx(labels.mean() - (1 - labels.mean()) * t / (1 - t))


def test_coverage_sets_refusals_and_then_the_least_certain_aside() -> None:
    labels = np.array([1, 1, 0, 0, 1])
    scores = np.array([0.99, 0.55, 0.52, 0.1, np.nan])
    curve = coverage_curve(labels, scores, 0.5)
    assert curve.accuracy == pytest.approx([1, 1, 1, 3 / 4, 3 / 5])
    assert curve.at(1.0) == pytest.approx((5, 3 / 5))
    assert curve.at(0.5) == pytest.approx((3, 1))
    assert curve.at(0.0) == pytest.approx((1, 1))


def test_coverage_does_not_depend_on_the_order_of_equals() -> None:
    labels, scores = np.array([1, 0, 1, 1]), np.full(4, 0.8)
    assert coverage_curve(labels, scores, 0.5).accuracy == pytest.approx([0.75] * 4)
