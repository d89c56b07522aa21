"""Training end to end on phantoms: it learns, it resumes to the same result, and it refuses what it must."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import PneumoscopeError, TrainingError
from pneumoscope.files import fill_atomically
from pneumoscope.statistics import odds
from pneumoscope.training import fit
from pneumoscope.training.batches import PixelSet, TrainingBatches, class_weights, loss_targets
from pneumoscope.training.recipe import Stage, load_recipe
from pneumoscope.training.run_folder import RunFolder
from support.tiny_data import TINY, write_tiny_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return assign_roles(find_images(write_tiny_data(tmp_path_factory.mktemp("data")), ["train"]))


@pytest.fixture(scope="module")
def unbroken(rows: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return fit.train(rows, TINY, tmp_path_factory.mktemp("runs") / "unbroken", seed=3)


def final_weights(run: RunFolder) -> list[np.ndarray[Any, Any]]:
    import keras

    return [np.asarray(w) for w in keras.models.load_model(run.last(TINY.epochs)).get_weights()]


def test_a_run_leaves_what_it_promises(unbroken: RunFolder) -> None:
    records = unbroken.read_log()
    assert [(record.epoch, record.size) for record in records] == [(1, 32), (2, 64), (3, 64)]
    assert all(np.isfinite(record.grouped_nll) and 0 <= record.ordered_auc <= 1 for record in records)
    assert records[-1].loss < records[0].loss
    assert sorted(p.name for p in unbroken.path.glob("*.keras")) == ["best.keras", "last-0003.keras"]
    assert unbroken.read_settings()[0] == TINY
    assert any(unbroken.tensorboard.iterdir())
    assert unbroken.best_epoch() == 3
    assert unbroken.load_best().input_shape == (None, 224, 224, 1)


def test_killed_in_the_middle_of_an_epoch_and_resumed_is_the_same_run(
    rows: list[LabelledImage], unbroken: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, steps = fit._Progress.on_train_batch_end, []

    def killed(self: Any, batch: int, logs: dict[str, float] | None = None) -> None:
        honest(self, batch, logs)
        steps.append(batch)
        if steps[-3:] == [0, 1, 2] and steps.count(2) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit._Progress, "on_train_batch_end", killed)
    with pytest.raises(KeyboardInterrupt):
        fit.train(rows, TINY, tmp_path / "run", seed=3)
    monkeypatch.undo()
    assert len(RunFolder(tmp_path / "run").read_log()) == 1
    resumed = fit.train(rows, TINY, tmp_path / "run", seed=3, resume=True)
    for ours, theirs in zip(final_weights(resumed), final_weights(unbroken), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    strip = [dataclasses.replace(record, seconds=0) for record in resumed.read_log()]
    assert strip == [dataclasses.replace(record, seconds=0) for record in unbroken.read_log()]


def test_a_full_disk_leaves_the_previous_checkpoint(
    rows: list[LabelledImage], unbroken: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    run = RunFolder(shutil.copytree(unbroken.path, tmp_path / "run"))
    before = run.last(3).read_bytes()

    def full(path: Path) -> None:
        path.write_bytes(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    with pytest.raises(PneumoscopeError, match=r"No space left on device\); what it held before is kept") as caught:
        fill_atomically(run.last(3), full)
    assert str(run.last(3)) in str(caught.value)
    assert run.last(3).read_bytes() == before
    assert not list(run.path.glob(".writing*"))


def test_runs_are_not_mixed_up(rows: list[LabelledImage], unbroken: RunFolder) -> None:
    with pytest.raises(TrainingError, match="holds a run already; give --resume"):
        fit.train(rows, TINY, unbroken.path, seed=3)
    with pytest.raises(TrainingError, match="another recipe or seed"):
        fit.train(rows, TINY, unbroken.path, seed=4, resume=True)
    with pytest.raises(TrainingError, match="other images or roles"):
        fit.train(rows[1:], TINY, unbroken.path, seed=3, resume=True)
    with pytest.raises(TrainingError, match="not a run folder"):
        RunFolder(unbroken.path / "nowhere").read_settings()


def test_training_and_a_held_out_fold_are_needed(rows: list[LabelledImage], tmp_path: Path) -> None:
    only_training = [row for row in rows if row.role is Role.TRAIN]
    with pytest.raises(TrainingError, match="no image has the role 'grouped'"):
        fit.train(only_training, TINY, tmp_path / "run")


def test_a_run_that_has_not_ended_has_no_finished_network(rows: list[LabelledImage], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    fit.open_run(run, rows, TINY, seed=0, resume=False)
    with pytest.raises(TrainingError, match="has 0 of 3 epochs; train on with --resume"):
        run.load_best()


def test_log_is_plain_csv(unbroken: RunFolder) -> None:
    with unbroken.log.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 3
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(odds.pneumonia_probability(logits), 1 - softmax[:, 0], atol=1e-6)
    one = logits[:, :1]
    np.testing.assert_allclose(odds.pneumonia_probability(one), 1 / (1 + np.exp(-one[:, 0])), atol=1e-6)


def test_balanced_likelihood_ignores_prevalence() -> None:
    logit, positive = np.array([2.0, -1.0, 0.5]), np.array([True, False, False])
    more_normals = np.concatenate([logit, logit[1:], logit[1:]]), np.concatenate([positive, positive[1:], positive[1:]])
    assert odds.balanced_nll(logit, positive) == pytest.approx(odds.balanced_nll(*more_normals))


def test_class_weights_balance() -> None:
    positive = np.array([True] * 30 + [False] * 10)
    normal, pneumonia = class_weights(positive)
    assert 10 * normal == pytest.approx(30 * pneumonia)
    assert (10 * normal + 30 * pneumonia) / 40 == pytest.approx(1)


def test_batches_are_the_same_for_the_same_seed_and_epoch(rows: list[LabelledImage]) -> None:
    some = rows[:20]
    images = PixelSet(
        np.random.default_rng(0).integers(0, 255, (20, 64, 64)).astype(np.uint8),
        np.tile(np.array([1, 0, 0], np.float32), (20, 1)),
        tuple(some),
    )
    recipe = dataclasses.replace(TINY, batch_size=8, balanced=False, augmentation=load_recipe("pneumonet").augmentation)
    batches = [TrainingBatches(images, recipe, seed=1, epoch=e)[0] for e in (0, 0, 1)]
    np.testing.assert_array_equal(batches[0][0], batches[1][0])
    assert not np.array_equal(batches[0][0], batches[2][0])
    assert batches[0][0].shape == (8, 32, 32, 1)
    assert 0 <= batches[0][0].min() <= batches[0][0].max() <= 255


def test_smoothed_targets_still_sum_to_one() -> None:
    targets = np.array([[1, 0, 0], [0, 0.65, 0.35]], np.float32)
    three = loss_targets(targets, dataclasses.replace(TINY, label_smoothing=0.1))
    np.testing.assert_allclose(three.sum(1), 1, rtol=1e-6)
    two = loss_targets(targets, dataclasses.replace(TINY, label_smoothing=0.1, classes=2))
    np.testing.assert_allclose(two[:, 0], [0.05, 0.95], rtol=1e-6)


def test_batch_statistics_are_the_plain_average_over_batches(rows: list[LabelledImage]) -> None:
    """On a lone batch normalisation: the average of the batches' means and variances, the momentum as before."""
    import keras

    pixels = np.random.default_rng(0).integers(0, 255, (24, 8, 8)).astype(np.uint8)
    images = PixelSet(pixels, np.tile(np.array([1, 0, 0], np.float32), (24, 1)), tuple(rows[:24]))
    recipe = dataclasses.replace(TINY, balanced=False, stages=(Stage(1, 8),))
    batches = TrainingBatches(images, recipe, seed=0, epoch=0)
    norm = keras.layers.BatchNormalization(momentum=0.9)
    model = keras.Sequential([keras.Input((8, 8, 1)), norm])
    fit.estimate_batch_statistics(model, batches, 3)
    drawn = [batches[index][0] for index in range(3)]
    mean, variance = (np.asarray(each).item() for each in (norm.moving_mean, norm.moving_variance))
    assert mean == pytest.approx(np.mean([batch.mean() for batch in drawn]), rel=1e-4)
    assert variance == pytest.approx(np.mean([batch.var() for batch in drawn]), rel=1e-3)
    assert norm.momentum == 0.9
    fit.estimate_batch_statistics(model, batches, 0)
    assert np.asarray(norm.moving_mean).item() == mean
