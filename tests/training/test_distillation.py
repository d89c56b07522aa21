"""Teachers: their mean answer to the varied picture is what the student is taught, in an interrupted run too."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import TrainingError
from pneumoscope.training import fit
from pneumoscope.training.batches import TrainingBatches, load_pixels
from pneumoscope.training.distillation import Teachers
from pneumoscope.training.networks import build_network
from pneumoscope.training.recipe import Augmentation, Recipe, Stage, load_recipe, parse_recipe
from pneumoscope.training.run_folder import EpochRecord, RunFolder
from support.tiny_data import TINY, write_tiny_data

pytestmark = pytest.mark.slow

PLAIN = dataclasses.replace(TINY, name="plain", stages=(Stage(1, 224),))
TAUGHT = dataclasses.replace(
    PLAIN, name="taught", teachers=("plain",), teacher_share=0.75, augmentation=Augmentation(gamma=0.5, flip=0.5)
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return assign_roles(find_images(write_tiny_data(tmp_path_factory.mktemp("data"), patients=15), ["train"]))


def finished_run(rows: Sequence[LabelledImage], recipe: Recipe, out: Path, seed: int) -> RunFolder:
    """A run folder with fresh weights: a teacher that need know nothing."""
    import keras

    keras.utils.set_random_seed(seed)
    run = RunFolder(out)
    fit.open_run(run, rows, recipe, seed, resume=False)
    build_network(recipe.network, classes=recipe.classes).save(run.best)
    run.write_log([EpochRecord(1, 224, 1.0, 1.0, 0.5, 1.0, 0.5, 1.0, 0.0, 0.1)])
    return run


@pytest.fixture(scope="module")
def teachers(rows: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    folder = tmp_path_factory.mktemp("teachers")
    return [finished_run(rows, PLAIN, folder / str(seed), seed) for seed in (1, 2)]


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_targets_are_mixed_with_the_mean_answer_to_the_varied_picture(
    rows: list[LabelledImage], teachers: list[RunFolder]
) -> None:
    images = load_pixels([row for row in rows if row.role is Role.TRAIN])
    plain = TrainingBatches(images, TAUGHT, seed=0, epoch=0)
    taught = TrainingBatches(images, TAUGHT, seed=0, epoch=0, teachers=Teachers(teachers, classes=3))
    (pixels, labels, weights), (same, targets, same_weights) = plain[0], taught[0]
    np.testing.assert_array_equal(pixels, same)
    np.testing.assert_array_equal(weights, same_weights)
    answers = [softmax(np.asarray(run.load_best().predict_on_batch(pixels)["logits"])) for run in teachers]
    assert np.abs(answers[0] - answers[1]).max() > 1e-4
    np.testing.assert_allclose(targets, 0.25 * labels + 0.75 * np.mean(answers, axis=0), atol=1e-5)


def test_one_logit_is_read_through_the_sigmoid(rows: list[LabelledImage], tmp_path: Path) -> None:
    run = finished_run(rows, dataclasses.replace(PLAIN, classes=2), tmp_path / "two", 1)
    pixels = load_pixels(rows[:3]).pixels[..., None].astype(np.float32)
    logits = np.asarray(run.load_best().predict_on_batch(pixels)["logits"])
    answers = Teachers([run], classes=2).probabilities(pixels)
    assert answers.shape == (3, 1)
    np.testing.assert_allclose(answers, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_an_interrupted_lesson_goes_on_to_the_same_end(
    rows: list[LabelledImage], teachers: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(TAUGHT, stages=(Stage(2, 224),))
    unbroken = fit.train(rows, recipe, tmp_path / "unbroken", teachers=teachers)
    honest = RunFolder.write_log

    def killed(self: RunFolder, records: Sequence[EpochRecord]) -> None:
        honest(self, records)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_log", killed)
    with pytest.raises(KeyboardInterrupt):
        fit.train(rows, recipe, tmp_path / "run", teachers=teachers)
    monkeypatch.undo()
    with pytest.raises(TrainingError, match="was begun with other teachers"):
        fit.train(rows, recipe, tmp_path / "run", resume=True, teachers=teachers[:1])
    resumed = fit.train(rows, recipe, tmp_path / "run", resume=True, teachers=teachers)
    strip = [dataclasses.replace(record, seconds=0) for record in resumed.read_log()]
    assert strip == [dataclasses.replace(record, seconds=0) for record in unbroken.read_log()]
    assert len(resumed.read_settings()[2]["teacher_weights_sha256"]) == 2


def test_teachers_that_do_not_fit(rows: list[LabelledImage], teachers: list[RunFolder], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="taught: needs teachers, and none were given"):
        fit.train(rows, TAUGHT, tmp_path / "run")
    with pytest.raises(TrainingError, match="plain: takes no teachers"):
        fit.train(rows, PLAIN, tmp_path / "run", teachers=teachers)
    with pytest.raises(TrainingError, match="a teacher of 3 classes cannot teach a student of 2"):
        Teachers(teachers, classes=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('teachers = ["lite0"]', "teachers need a teacher_share above 0"),
        ("teacher_share = 0.5", "it needs teachers"),
        ('teachers = ["lite0"]\nteacher_share = 1.5', "up to 1"),
        ('teachers = ["lite0"]\nteacher_share = 0.5', "teachers judge images of 224 pixels"),
    ],
)
def test_recipes_that_cannot_be_taught(lines: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        parse_recipe(f'name = "x"\nnetwork = "pneumonet"\n{lines}\n[[stages]]\nepochs = 1\nsize = 128\n', "here")


def test_built_in_teachers_are_built_in_recipes() -> None:
    recipe = load_recipe("pneumonet-taught")
    assert recipe.teachers
    assert all(load_recipe(name).classes == recipe.classes for name in recipe.teachers)
