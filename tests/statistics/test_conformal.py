"""The promise of coverage is kept: exactly where it must be, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from pneumoscope.errors import DataError
from pneumoscope.statistics.conformal import (
    Band,
    fit_band,
    images_to_check,
    images_to_notice,
    least_open,
    measure_coverage,
    wilson_share,
)
from pneumoscope.statistics.intervals import wilson


@pytest.mark.parametrize(("n", "kth"), [(8, None), (9, 1), (18, 1), (19, 2), (99, 10), (100, 10), (109, 11)])
def test_the_cut_is_the_textbook_s_order_statistic(n: int, kth: int | None) -> None:
    scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert least_open(scores, 0.9) == (-np.inf if kth is None else kth)


def test_equal_weights_change_nothing() -> None:
    scores = np.random.default_rng(0).random(57)
    assert least_open(scores, 0.9, np.full(57, 0.3)) == least_open(scores, 0.9)


def test_each_class_is_covered_by_simulation() -> None:
    generator, runs = np.random.default_rng(0), 400
    shares = np.zeros((runs, 2))
    for run in range(runs):
        labels = (np.arange(150) % 3 == 0).astype(np.int64)
        odds = generator.normal(size=150) + 2 * (labels - 0.5)
        band = fit_band(labels, 1 / (1 + np.exp(-odds)))
        fresh_labels = (np.arange(400) % 2).astype(np.int64)
        fresh = 1 / (1 + np.exp(-(generator.normal(size=400) + 2 * (fresh_labels - 0.5))))
        for label in (0, 1):
            found = measure_coverage(fresh_labels, fresh, band, label)
            assert found is not None
            shares[run, label] = found.coverage
    means = shares.mean(axis=0)
    assert (means >= 0.9 - 3 * shares.std(axis=0) / runs**0.5).all()
    assert (means < 0.925).all()  # and not by leaving everything open


def test_weights_carry_the_promise_to_a_shifted_set() -> None:
    """Where hard images are rare in calibration and common later, unweighted sets fall short and weighted do not."""
    generator = np.random.default_rng(1)

    def draw(n: int, hard_share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = (np.arange(n) % 2).astype(np.int64)
        hard = generator.random(n) < hard_share
        skill = np.where(hard, -0.5, 4.0)
        return labels, 1 / (1 + np.exp(-(generator.normal(size=n) + skill * (labels - 0.5)))), hard

    labels, scores, hard = draw(6000, 0.05)
    weights = np.where(hard, 0.5 / 0.05, 0.5 / 0.95)
    everyone = np.ones(6000, dtype=bool)
    plain, weighted = fit_band(labels, scores), fit_band(labels, scores, [(everyone, weights)])
    later_labels, later, _ = draw(6000, 0.5)
    covered = [measure_coverage(later_labels, later, band, 1) for band in (plain, weighted)]
    assert covered[0] is not None and covered[1] is not None
    assert covered[0].ci95[1] < 0.88
    assert covered[1].ci95[1] > 0.9


def test_the_band_holds_one_half_and_every_set_a_label() -> None:
    labels = np.repeat([0, 1], 50)
    for scores in (np.linspace(0, 1, 100), np.concatenate([np.full(50, 0.01), np.full(50, 0.99)])):
        band = fit_band(labels, scores)
        assert band.lower <= 0.5 <= band.upper
        normal, pneumonia = band.open_labels(np.linspace(0, 1, 1001))
        assert (normal | pneumonia).all()


def test_the_most_lenient_group_decides() -> None:
    labels = np.tile(np.repeat([0, 1], 50), 2)
    easy = np.arange(200) < 100
    scores = np.where(labels == 1, 0.9, 0.1) + np.random.default_rng(0).normal(0, 0.01, 200)
    scores[~easy] = np.random.default_rng(1).random(100)
    band = fit_band(labels, scores, [(easy, None), (~easy, None)])
    hard_alone = fit_band(labels, scores, [(~easy, None)])
    assert band == hard_alone
    assert band.lower < fit_band(labels, scores, [(easy, None)]).lower


def test_too_few_images_are_no_promise() -> None:
    labels = np.array([0] * 50 + [1] * 8)
    with pytest.raises(DataError, match="8 images of a class; at least 9"):
        fit_band(labels, np.linspace(0, 1, 58))


def test_coverage_of_a_class_that_is_not_there() -> None:
    assert measure_coverage(np.zeros(3, dtype=np.int64), np.full(3, 0.2), Band(0.4, 0.6), 1) is None


def test_wilson_of_a_share_is_wilson_s() -> None:
    assert wilson_share(37 / 50, 50) == pytest.approx(wilson(37, 50))
    assert wilson_share(1.0, 40)[1] == 1.0
    assert wilson_share(0.0, 40)[0] == 0.0


def test_how_many_images_a_site_must_label() -> None:
    assert images_to_check(0.9, 0.05) == 139
    assert images_to_check(0.9, 0.03) > 380
    n = images_to_notice(0.9, 0.8, power=0.8)
    generator = np.random.default_rng(0)
    # The one-sided test at 5 % of that many images notices about four times in five.
    limit = 0.9 - 1.645 * (0.9 * 0.1 / n) ** 0.5
    noticed = (generator.binomial(n, 0.8, 20_000) / n < limit).mean()
    assert 0.74 < noticed < 0.86
