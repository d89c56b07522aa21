"""Means, intervals and pictures of the tests of explanations."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from pneumoscope.evaluation import plots
from pneumoscope.evaluation.explanations import plots as explanation_plots
from pneumoscope.evaluation.explanations.summary import (
    Check,
    ExplanationScores,
    Heatmap,
    RandomisedScores,
    estimate,
    summarise,
)
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics.bootstrap import Resampling
from support.made_up_predictions import made_up_table


def made_up_scores(images: int = 40, *, blank: int = 0) -> ExplanationScores:
    random = np.random.default_rng(0)
    models = (Heatmap.GRAD_CAM, Heatmap.GRAD_CAM_PLUS_PLUS)
    scores = {
        name: {
            check: random.normal(position, 0.2, images)
            for check in Check
            if name in models or check is not Check.STABILITY
        }
        for position, name in enumerate(Heatmap)
    }
    scores[Heatmap.GRAD_CAM][Check.LUNG_SHARE][:blank] = np.nan
    curves = {
        name: {c: random.normal(0, 1, (images, 11)) for c in (Check.INSERTION, Check.DELETION)} for name in Heatmap
    }
    return ExplanationScores(
        paths=tuple(f"test/image-{row}.jpeg" for row in range(images)),
        patients=tuple(f"p{row // 2}" for row in range(images)),
        of=2 * images,
        chosen="at random",
        scores=scores,
        curves=curves,
        other_image={name: random.normal(0.3, 0.1, images) for name in models},
        randomised=tuple(
            RandomisedScores(stage, layers, {name: random.normal(0.3, 0.1, images) for name in models})
            for stage, layers in (("last dense layer", 1), ("and all 9 convolutions", 10))
        ),
        lung_area=0.56,
        undefined={},
    )


NOTHING = ExplanationScores((), (), 0, "at random", {}, {}, {}, (), 0.56, {"all": "no image was called pneumonia"})


def test_the_interval_of_a_mean_agrees_with_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2, 1, 60)
    ours = estimate(values, Resampling.draw(None, 60, draws=4000, seed=1))
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=1)
    assert ours.mean == pytest.approx(values.mean())
    assert ours.ci95 == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)


def test_images_of_one_patient_count_together() -> None:
    """The same 20 values twice: clustered, the interval is that of 20, not of 40."""
    values = np.random.default_rng(0).normal(size=20)
    patients = [f"p{row}" for row in range(20)]
    once = estimate(values, Resampling.draw(patients, 20, seed=0)).ci95
    twice = estimate(np.tile(values, 2), Resampling.draw(patients * 2, 40, seed=0)).ci95
    assert once is not None
    assert twice == pytest.approx(once)


def test_differences_are_image_by_image() -> None:
    scores = made_up_scores()
    tests = summarise(scores, draws=300)
    gain = tests.gains[Heatmap.GRAD_CAM][Heatmap.RANDOM][Check.INSERTION]
    a, b = (scores.scores[name][Check.INSERTION] for name in (Heatmap.GRAD_CAM, Heatmap.RANDOM))
    assert gain.mean == pytest.approx((a - b).mean())
    assert gain.ci95 is not None
    assert gain.ci95[0] < (a - b).mean() < gain.ci95[1]
    assert set(tests.plus_plus) == set(Check)


def test_scores_that_no_image_has_are_none_and_counted() -> None:
    content = summarise(made_up_scores(6, blank=6), draws=50).to_json()
    assert content["heatmaps"]["grad-cam"]["lung_share"] == {"mean": None, "ci95": None, "n": 0, "n_undefined": 6}
    json.dumps(content, allow_nan=False)


def test_the_picture_of_one_image_can_be_drawn() -> None:
    one = dataclasses.replace(
        made_up_scores(1), other_image={}, randomised=(), undefined={"randomisation": "not pooled"}
    )
    figure = explanation_plots.explanations(summarise(one, draws=20))
    assert [len(axes.lines) > 0 for axes in figure.axes] == [True, True, False, True]
    assert "not pooled" in figure.axes[2].texts[0].get_text()


@pytest.mark.parametrize("scores", [made_up_scores(), made_up_scores(3, blank=3), NOTHING])
def test_report_page_and_json_have_them(
    scores: ExplanationScores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "FIGURES", {})
    evaluate_predictions(
        made_up_table(40),
        threshold=0.5,
        operating_points={},
        split="test",
        model_info={"name": "tiny"},
        out=tmp_path,
        explanations=scores,
        render_heatmaps=lambda path: b"png" if path.endswith("-1.jpeg") else None,
    )
    content = json.loads((tmp_path / "report.json").read_text())["explanations"]
    page = (tmp_path / "index.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert (tmp_path / "explanations.png").is_file()
    assert RESEARCH_USE_ONLY in text
    if not scores.paths:
        assert "all: undefined, no image was called pneumonia." in text
        return
    assert f"{content['heatmaps']['grad-cam++']['insertion']['mean']:.3f}" in text
    assert f"{content['less_baseline']['grad-cam']['centre-blob']['deletion']['mean']:.3f}" in text
    assert f"{content['randomisation'][1]['grad-cam']['mean']:.3f}" in text
    assert "Grad-CAM++ less Grad-CAM" in text
    assert page.count("with Grad-CAM and Grad-CAM++") == 1
    if scores.scores[Heatmap.GRAD_CAM][Check.LUNG_SHARE].size == 3:
        assert "undefined: the heatmaps are blank" in text
