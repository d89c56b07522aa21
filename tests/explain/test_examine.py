"""All tests of explanations together, on phantoms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.errors import UnreadableInputError
from pneumoscope.evaluation.explanations import examine as module
from pneumoscope.evaluation.explanations.examine import examine
from pneumoscope.evaluation.explanations.summary import Check, ExplanationScores, Heatmap, summarise
from pneumoscope.explain.graph_surgery import Flatbuffer
from pneumoscope.model.classifier import Model, load_model
from support import phantom


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("chests")
    for seed in range(4):
        (folder / f"{seed}.png").write_bytes(phantom.encode(phantom.chest_phantom(224, seed, opacity=1)))
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def scores(model: Model, paths: list[str]) -> ExplanationScores:
    return examine(model, paths, ["a", "a", None, "b"], images=2, seed=5, jobs=2)


def test_every_heatmap_has_every_score_that_fits_it(scores: ExplanationScores) -> None:
    assert len(scores.paths) == 2
    assert scores.of == 4
    assert list(scores.scores) == list(Heatmap)
    for name, tests in scores.scores.items():
        of_model = name in (Heatmap.GRAD_CAM, Heatmap.GRAD_CAM_PLUS_PLUS)
        assert set(tests) == set(Check) - (set() if of_model else {Check.STABILITY})
        assert all(values.shape == (2,) and np.isfinite(values).all() for values in tests.values())
        for check in (Check.INSERTION, Check.DELETION):
            curve = scores.curves[name][check]
            assert curve.shape == (2, 11)
            np.testing.assert_allclose(np.trapezoid(curve, dx=0.1), tests[check])
    assert scores.undefined == {}
    assert scores.lung_area == pytest.approx(0.3, abs=0.2)


def test_all_heatmaps_share_their_ends(scores: ExplanationScores, model: Model) -> None:
    ends = {(*c[Check.INSERTION][:, 0].round(4), *c[Check.DELETION][:, 0].round(4)) for c in scores.curves.values()}
    assert len(ends) == 1


def test_what_was_learned_is_gone_after_the_cascade(scores: ExplanationScores) -> None:
    layers = [stage.layers for stage in scores.randomised]
    assert len(layers) == 6
    assert layers == sorted(set(layers))
    assert layers[0] == 1
    for similarity in scores.randomised[-1].similarity.values():
        assert similarity.shape == (2,)
        assert np.nanmax(similarity) < 0.9


def test_the_same_seed_gives_the_same_scores_on_any_number_of_threads(
    model: Model, paths: list[str], scores: ExplanationScores
) -> None:
    again = examine(model, paths, ["a", "a", None, "b"], images=2, seed=5, jobs=1)
    assert summarise(again, draws=20).to_json() == summarise(scores, draws=20).to_json()


def test_nothing_called_pneumonia_is_undefined_with_its_reason(model: Model) -> None:
    content = summarise(examine(model, [])).to_json()
    assert content["n"] == 0
    assert content["undefined"] == {"all": "no image was called pneumonia"}
    assert content["heatmaps"] == {}
    json.dumps(content, allow_nan=False)


def test_one_image_has_no_other(model: Model, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cascade", lambda *_, **__: iter(()))
    content = summarise(examine(model, paths[:1]), draws=20).to_json()
    assert content["undefined"]["other_image"] == "there is one image only"
    assert content["other_image"] == {}


def test_a_model_that_cannot_be_taken_apart_still_has_its_own_heatmap_tested(
    model: Model, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Flatbuffer(model.graph)
    (signature,) = changed.model.signatureDefs
    heatmap = next(output for output in signature.outputs if output.name == b"heatmap")
    division = changed.maker_of(int(heatmap.tensorIndex))
    assert division is not None
    heatmap.tensorIndex = int(division.inputs[0])  # before it is normalised
    monkeypatch.setattr(type(model), "graph", changed.packed())
    scores = examine(model, paths[:1], jobs=1)
    content = summarise(scores, draws=20).to_json()
    assert list(content["heatmaps"]) == ["grad-cam", "random", "centre-blob", "lungs"]
    assert set(content["undefined"]) == {"grad-cam++", "randomisation", "other_image"}
    assert "cannot be taken apart" in content["undefined"]["grad-cam++"]
    assert content["randomisation"] == []
    assert content["plus_plus_less_grad_cam"] == {}


def test_a_file_that_went_away_is_named(model: Model, paths: list[str]) -> None:
    with pytest.raises(UnreadableInputError, match=r"gone\.png"):
        examine(model, [str(Path(paths[0]).with_name("gone.png"))])


def test_blank_heatmaps_are_counted(scores: ExplanationScores) -> None:
    values = scores.scores[Heatmap.GRAD_CAM][Check.STABILITY].copy()
    values[1] = np.nan
    by_image = {**scores.scores, Heatmap.GRAD_CAM: {**scores.scores[Heatmap.GRAD_CAM], Check.STABILITY: values}}
    tests = summarise(dataclasses.replace(scores, scores=by_image), draws=200)
    found = tests.means[Heatmap.GRAD_CAM][Check.STABILITY]
    assert (found.n, found.undefined) == (1, 1)
    assert found.mean == pytest.approx(np.nanmean(values))
