"""Recipes: the built-in ones load, wrong ones are named, shortened ones keep their stages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pneumoscope.errors import TrainingError, UsageError
from pneumoscope.training.recipe import built_in_recipes, load_recipe, parse_recipe
from pneumoscope.training.run_folder import RunFolder

MINIMAL = 'name = "x"\nnetwork = "pneumonet"\n[[stages]]\nepochs = 3\nsize = 64\n[[stages]]\nepochs = 1\n'


def test_every_built_in_recipe_loads() -> None:
    assert set(built_in_recipes()) == {"trio", "pneumonet", "baseline-cnn"}
    for name in built_in_recipes():
        assert load_recipe(name).name == name


def test_sizes_follow_the_stages() -> None:
    recipe = parse_recipe(MINIMAL, "here")
    assert [recipe.size_at(epoch) for epoch in range(5)] == [64, 64, 64, 224, 224]


@pytest.mark.parametrize(("epochs", "stages"), [(1, [1]), (2, [2]), (4, [3, 1]), (8, [6, 2])])
def test_shortening_keeps_the_order(epochs: int, stages: list[int]) -> None:
    recipe = parse_recipe(MINIMAL, "here").with_epochs(epochs)
    assert recipe.epochs == epochs
    assert [stage.epochs for stage in recipe.stages] == stages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        ('name = "x"\nnetwork = "n"\n', "needs stages"),
        (MINIMAL.replace("epochs = 3", "epochs = 0"), "needs stages of at least 1 epoch"),
        ("colour = 1\n" + MINIMAL, "unknown keys colour"),
        (MINIMAL.replace('name = "x"\n', ""), "name"),
        ("classes = 4\n" + MINIMAL, "must be 2 or 3"),
        (MINIMAL + "[augmentation]\nsparkle = 1\n", "unknown keys sparkle"),
        ("adults = 0.6\n" + MINIMAL, "adults must be 0 to 0.5"),
        ("shortcut_balance = 0.5\n" + MINIMAL, "give adults a share"),
        ("folds = 3\nmembers = 4\n" + MINIMAL, "1 to 3 members"),
    ],
)
def test_wrong_recipes(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        parse_recipe(text, "here.toml")


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="built in are"):
        load_recipe("nothing")
    with pytest.raises(UsageError, match="no such recipe file"):
        load_recipe("nothing.toml")


def test_unknown_initial_weights_are_named() -> None:
    with pytest.raises(TrainingError, match="here: weights is 'hub', must be one of fresh, imagenet"):
        parse_recipe('weights = "hub"\n' + MINIMAL, "here")


def test_behind_a_lung_field_the_network_has_the_size_of_its_square() -> None:
    whole = parse_recipe(MINIMAL.replace("epochs = 1\n", "epochs = 1\nsize = 96\n"), "here")
    assert (whole.final_size, whole.network_size) == (96, 224)
    assert dataclasses.replace(whole, lung_field=True).network_size == 96


def test_a_run_is_read_by_the_parser_of_recipes_and_one_of_version_1_says_what_to_do(tmp_path: Path) -> None:
    recipe = load_recipe("pneumonet")
    run = RunFolder(tmp_path)
    run.write_settings(recipe, 3, {})
    assert run.read_settings()[:2] == (recipe, 3)
    old = json.loads(run.settings.read_text("utf-8"))
    old["recipe"]["starts_from"] = ["pneumonet-tune"]
    run.settings.write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"run\.json: not as .* unknown keys starts_from.*; train again"):
        run.read_settings()
