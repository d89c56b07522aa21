"""mixup and CutMix: what is mixed, and that the loss is the same mixture."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pneumoscope.errors import TrainingError
from pneumoscope.training.mixup import Batch, mixed
from pneumoscope.training.recipe import Recipe, Stage, parse_recipe

PLAIN = Recipe("plain", "pneumonet", (Stage(1),))
RNG = np.random.default_rng(0)
BATCH = Batch(
    RNG.uniform(0, 255, (8, 32, 32, 1)).astype(np.float32),
    np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 8)],
    RNG.uniform(0.5, 2, 8).astype(np.float32),
)


def weighted_loss(batch: Batch, log_probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(-(batch.weights[:, None] * batch.targets * log_probabilities).sum())


def test_nothing_is_mixed_unless_asked() -> None:
    assert mixed(BATCH, PLAIN, np.random.default_rng(1)) is BATCH


def test_mixup_averages_images_and_losses() -> None:
    out = mixed(BATCH, dataclasses.replace(PLAIN, mixup=1.0), np.random.default_rng(1))
    difference = BATCH.pixels - BATCH.pixels[::-1]
    share = float(((out.pixels - BATCH.pixels[::-1]) * difference).sum() / (difference**2).sum())
    assert 0.05 < share < 0.95
    np.testing.assert_allclose(out.pixels, share * BATCH.pixels + (1 - share) * BATCH.pixels[::-1], atol=1e-3)
    said = np.log(np.random.default_rng(2).dirichlet(np.ones(3), 8))
    expected = share * weighted_loss(BATCH, said) + (1 - share) * weighted_loss(
        Batch(BATCH.pixels, BATCH.targets[::-1], BATCH.weights[::-1]), said
    )
    assert weighted_loss(out, said) == pytest.approx(expected, rel=1e-4)


def test_cutmix_pastes_a_rectangle_and_counts_its_area() -> None:
    ones = dataclasses.replace(BATCH, weights=np.ones(8, np.float32))
    for seed in range(20):
        out = mixed(ones, dataclasses.replace(PLAIN, cutmix=1.0), np.random.default_rng(seed))
        own = (out.pixels == BATCH.pixels).all(axis=(0, 3))
        assert ((out.pixels == BATCH.pixels) | (out.pixels == BATCH.pixels[::-1])).all()
        rows, columns = np.where(~own)
        if len(rows):  # what was pasted is one full rectangle
            assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)
        expected = own.mean() * BATCH.targets + (1 - own.mean()) * BATCH.targets[::-1]
        np.testing.assert_allclose(out.targets, expected, atol=1e-5)
        np.testing.assert_allclose(out.weights, 1, atol=1e-5)


def test_both_take_turns_and_the_seed_decides() -> None:
    both = dataclasses.replace(PLAIN, mixup=0.4, cutmix=1.0)
    first = [mixed(BATCH, both, np.random.default_rng(seed)).pixels for seed in range(20)]
    again = [mixed(BATCH, both, np.random.default_rng(seed)).pixels for seed in range(20)]
    np.testing.assert_array_equal(first, again)
    pasted = [bool(((p == BATCH.pixels) | (p == BATCH.pixels[::-1])).all()) for p in first]
    assert 3 < sum(pasted) < 17


def test_a_negative_parameter_is_refused() -> None:
    text = 'name = "x"\nnetwork = "pneumonet"\nmixup = -1.0\n[[stages]]\nepochs = 1'
    with pytest.raises(TrainingError, match="mixup and cutmix"):
        parse_recipe(text, "x.toml")
