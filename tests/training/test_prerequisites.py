"""Recipes that start from others: trained in order, finished parts kept, and two networks joined into one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import TrainingError
from pneumoscope.statistics import odds
from pneumoscope.training import fit
from pneumoscope.training import prerequisites as chain
from pneumoscope.training.batches import TrainingBatches, load_pixels
from pneumoscope.training.networks import build_network
from pneumoscope.training.recipe import Recipe, Stage, load_recipe, parse_recipe
from pneumoscope.training.run_folder import EpochRecord, RunFolder
from support.tiny_data import TINY, write_tiny_data

pytestmark = pytest.mark.slow

ONE_EPOCH = dataclasses.replace(TINY, stages=(Stage(1, 224),))
LITE0 = dataclasses.replace(ONE_EPOCH, name="tiny-lite0", network="lite0")
PAIR = Recipe(name="tiny-pair", network="pair", stages=(), starts_from=("tiny", "tiny-lite0"))
KNOWN = {"tiny": ONE_EPOCH, "tiny-lite0": LITE0}
TAUGHT = dataclasses.replace(
    ONE_EPOCH, name="taught", starts_from=("tiny",), teachers=("tiny", "tiny-lite0"), teacher_share=0.5
)


def train_nothing(
    rows: Sequence[LabelledImage],
    recipe: Recipe,
    out: Path,
    *,
    seed: int,
    resume: bool,
    initial: RunFolder | None,
    teachers: Sequence[RunFolder],
) -> RunFolder:
    """In place of training, which takes minutes here and has its own tests: a finished run with fresh weights.

    Batch normalisation is fitted to the images: without that Lite0's log odds are 1e-12, rounding and nothing else.
    """
    import keras

    run = RunFolder(out)
    fit.open_run(run, rows, recipe, seed, resume=resume, initial=[initial] if initial else [], teachers=teachers)
    if not run.best.exists():
        keras.utils.set_random_seed(seed)
        network = build_network(recipe.network, classes=recipe.classes)
        images = load_pixels([row for row in rows if row.role is Role.TRAIN])
        fit.estimate_batch_statistics(network, TrainingBatches(images, recipe, seed=seed, epoch=0), 1)
        network.save(run.best)
        run.write_log([EpochRecord(1, 224, 1.0, 1.0, 0.5, 1.0, 0.5, 1.0, 0.0, 0.1)])
    return run


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "load_recipe", KNOWN.__getitem__)
        patch.setattr(fit, "train", train_nothing)
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return assign_roles(find_images(write_tiny_data(tmp_path_factory.mktemp("data")), ["train"]))


@pytest.fixture(scope="module")
def pair(rows: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory, quick: None) -> RunFolder:
    """As a user makes it: by the one recipe, which names two others."""
    return chain.train_recipe(rows, PAIR, tmp_path_factory.mktemp("runs") / "pair", seed=3)


def test_parts_lie_inside_the_run(pair: RunFolder) -> None:
    for name in PAIR.starts_from:
        assert (pair.path / name / "best.keras").is_file()
    assert pair.read_settings()[0] == PAIR
    assert pair.best_epoch() == 1


def test_the_pair_is_the_average_of_its_members(pair: RunFolder, rows: list[LabelledImage]) -> None:
    """On the validation images: logits divided by their spread, averaged; and the log says what they are worth."""
    import keras

    images = load_pixels([row for row in rows if row.role is not Role.TRAIN])
    pixels = images.pixels[..., None].astype(np.float32)
    joined = np.asarray(pair.load_best().predict_on_batch(pixels)["logits"])
    expected = np.zeros_like(joined)
    for name in PAIR.starts_from:
        member = RunFolder(pair.path / name).load_best()
        logits = np.asarray(keras.Model(member.input, member.output["logits"]).predict_on_batch(pixels))
        spread = odds.pneumonia_logit(logits).std()
        assert spread > 0.01
        expected += logits / (2 * spread)
    assert expected.std() > 0.01
    np.testing.assert_allclose(joined, expected, atol=1e-3)
    ordered = np.array([row.role is Role.ORDERED for row in images.rows])
    (record,) = pair.read_log()
    auc = odds.roc_auc(odds.pneumonia_logit(joined[ordered]), images.positive[ordered])
    assert record.ordered_auc == pytest.approx(auc)


def test_maps_and_classifier_give_the_logits(pair: RunFolder, rows: list[LabelledImage]) -> None:
    """What makes the exported Grad-CAM exact: pooled maps times the classifier."""
    network = pair.load_best()
    pixels = load_pixels(rows[:4]).pixels[..., None].astype(np.float32)
    out = network.predict_on_batch(pixels)
    kernel, bias = network.get_layer("classifier").get_weights()
    assert out["maps"].shape == (4, 14, 14, 256 + 1280)
    np.testing.assert_allclose(np.asarray(out["maps"]).mean((1, 2)) @ kernel + bias, out["logits"], atol=1e-4)


def test_start_and_teachers_are_trained_once_each(
    rows: list[LabelledImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(*arguments: Any, **options: Any) -> RunFolder:
        run = train_nothing(*arguments, **options)
        seen.append((run.path.name, [teacher.path.name for teacher in options["teachers"]], options["resume"]))
        return run

    monkeypatch.setattr(fit, "train", noted)
    run = chain.train_recipe(rows, TAUGHT, tmp_path / "run", seed=3)
    assert seen == [
        ("tiny", [], False),
        ("tiny", [], True),
        ("tiny-lite0", [], False),
        ("run", ["tiny", "tiny-lite0"], False),
    ]
    assert sorted(each.name for each in run.path.iterdir() if each.is_dir()) == ["tiny", "tiny-lite0"]
    assert len(run.read_settings()[2]["teacher_weights_sha256"]) == 2


def test_finished_parts_are_gone_on_with(pair: RunFolder, rows: list[LabelledImage]) -> None:
    before = [(pair.path / name / "best.keras").stat().st_mtime_ns for name in PAIR.starts_from]
    chain.train_recipe(rows, PAIR, pair.path, seed=3, resume=True)
    assert [(pair.path / name / "best.keras").stat().st_mtime_ns for name in PAIR.starts_from] == before


def test_parts_that_do_not_fit(pair: RunFolder, rows: list[LabelledImage], tmp_path: Path) -> None:
    one = RunFolder(pair.path / "tiny")
    with pytest.raises(TrainingError, match="joins one run each of pneumonet, lite0; pneumonet, pneumonet were given"):
        chain.combine(rows, PAIR, [one, one], tmp_path / "twice")
    with pytest.raises(TrainingError, match="was begun with other images or roles"):
        chain.combine(rows[1:], PAIR, [one, RunFolder(pair.path / "tiny-lite0")], tmp_path / "others")
    with pytest.raises(TrainingError, match="trains on from one run, 2 were given"):
        chain.train_recipe(rows, ONE_EPOCH, tmp_path / "two", initial=[one, one])
    with pytest.raises(TrainingError, match="holds a run already"):
        chain.train_recipe(rows, PAIR, pair.path, seed=3, initial=[one, RunFolder(pair.path / "tiny-lite0")])


def test_a_joining_recipe_has_no_epochs() -> None:
    with pytest.raises(TrainingError, match="has no epochs of its own"):
        load_recipe("pair").with_epochs(2)
    with pytest.raises(TrainingError, match="needs stages"):
        parse_recipe('name = "x"\nnetwork = "pair"\nstarts_from = ["pneumonet"]\n', "here")


def test_built_in_chains_name_built_in_recipes() -> None:
    for name in ("pair", "pneumonet-tune", "pneumonet-robust"):
        assert all(load_recipe(part).name == part for part in load_recipe(name).starts_from)
