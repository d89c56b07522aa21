"""Members: each fold is scored by the network that did not see it, and joined they say the mean."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pneumoscope.datasets.registry import find_images
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.datasets.splits import assign_roles
from pneumoscope.errors import TrainingError
from pneumoscope.training.batches import load_pixels
from pneumoscope.training.fit import predict_logits
from pneumoscope.training.members import train_recipe
from pneumoscope.training.networks import build_network
from pneumoscope.training.networks.joined import join
from pneumoscope.training.out_of_fold import read_out_of_fold
from pneumoscope.training.recipe import Stage
from pneumoscope.training.run_folder import RunFolder
from support.tiny_data import TINY, write_tiny_data

pytestmark = pytest.mark.slow

RECIPE = dataclasses.replace(TINY, stages=(Stage(1, 32),), folds=2, members=2, adults=0.1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    found = find_images(write_tiny_data(tmp_path_factory.mktemp("data")), ["train"])
    return assign_roles(found, folds=2, ordered_fraction=0.0)


@pytest.fixture(scope="module")
def run(images: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("runs") / "pair"
    train_recipe(images, RECIPE, out, only=1)
    assert not (out / "best.keras").exists()
    return train_recipe(images, RECIPE, out, resume=True)


def test_each_image_is_scored_by_the_member_that_did_not_see_it(images: list[LabelledImage], run: RunFolder) -> None:
    import keras

    scores = read_out_of_fold(run.out_of_fold)
    assert len(scores.paths) == len(images)
    for fold in (0, 1):
        rows = [row for row in images if row.fold == fold]
        assert not {row.sha256 for row in rows} & {
            row.sha256 for row in run.member(fold).read_manifest() if row.role == "train"
        }
        network = run.member(fold).load_best()
        pictures = load_pixels(rows)
        logits = predict_logits(keras.Model(network.input, network.output["logits"]), pictures.pixels)
        expected = np.logaddexp(logits[:, 1], logits[:, 2]) - logits[:, 0]
        np.testing.assert_allclose(scores.logits[scores.folds == fold], expected, atol=1e-4)


def test_joined_they_say_the_mean_of_their_log_odds(run: RunFolder) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 224, 224, 1)).astype(np.float32)
    said = [np.asarray(run.member(fold).load_best()(pixels)["logits"]) for fold in (0, 1)]
    joined = run.load_best()
    np.testing.assert_allclose(np.asarray(joined(pixels)["logits"]), np.mean(said, axis=0), atol=1e-4)
    assert joined.name == RECIPE.name
    assert [record.epoch for record in run.read_log()] == [1]


def test_networks_with_a_hidden_layer_are_not_joined() -> None:
    members = [build_network("baseline-cnn", classes=2, size=64) for _ in range(2)]
    with pytest.raises(TrainingError, match="has a hidden layer"):
        join(members, name="two")
