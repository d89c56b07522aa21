"""Parity counts what changed and names what broke, on judgements made up for the purpose."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from pneumoscope.export.parity import (
    LIMITS,
    SIZE_GOALS,
    ExportedForm,
    ModelOutputs,
    Parity,
    Radiographs,
    Thresholds,
    measure_parity,
)
from pneumoscope.export.parity_page import Comparison, render_page
from pneumoscope.model.contract import OperatingPoint, Quantization

N = 400
POINTS = {"low": OperatingPoint(0.3, 0.9, 0.9), "high": OperatingPoint(0.7, 0.9, 0.9)}
RNG = np.random.default_rng(0)
POSITIVE = np.arange(N) % 2 == 0
HEATMAPS = RNG.random((N, 4, 4)).astype(np.float32)
REFERENCE = ModelOutputs(
    np.clip(np.where(POSITIVE, 0.9, 0.1) + RNG.normal(0, 0.05, N), 0.01, 0.99), HEATMAPS, np.full(N, 0.9)
)
IMAGES = Radiographs(
    np.zeros((N, 2, 2), np.uint8), POSITIVE, [f"patient {i // 2}" for i in range(N)], [f"{i}.jpeg" for i in range(N)]
)


def measured(
    kind: Quantization = Quantization.INT8,
    *,
    probability: dict[int, float] | None = None,
    typicality: dict[int, float] | None = None,
    heatmap: np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None = HEATMAPS,
    size: int = 250,
) -> Parity:
    """Parity of the reference with single values replaced."""
    changed, typical = REFERENCE.probability.copy(), REFERENCE.typicality.copy()
    for index, value in (probability or {}).items():
        changed[index] = value
    for index, value in (typicality or {}).items():
        typical[index] = value
    judged = ModelOutputs(changed, heatmap, typical)
    exported = ExportedForm("litert", kind, size, 1000)
    return measure_parity(exported, judged, REFERENCE, IMAGES, Thresholds(POINTS, "low", 0.5), draws=100)


def test_the_same_judgements_break_nothing() -> None:
    for kind in Quantization:
        parity = measured(kind)
        assert parity.broken == ()
        assert parity.largest_difference == 0
        assert parity.heatmap_correlation == pytest.approx(1)
        assert {change.count for change in parity.flips.values()} == {0}
        auc = parity.metrics["auc"]
        assert auc.difference == 0
        assert auc.ci95_bootstrap == (0, 0)


def test_flips_are_counted_at_each_operating_point_with_their_interval() -> None:
    parity = measured(probability={0: 0.5, 2: 0.5, 4: 0.2})
    assert {name: change.count for name, change in parity.flips.items()} == {"low": 1, "high": 3}
    low, high = parity.flips["high"].ci95
    assert low < 3 / N < high
    assert parity.broken == ("3 of 400 decisions flip at 'high', at most 2",)
    assert parity.largest_difference == pytest.approx(REFERENCE.probability[4] - 0.2)


def test_every_limit_can_break() -> None:
    assert "largest probability difference" in measured(Quantization.FLOAT32, probability={0: 0.85}).broken[0]
    assert "5 of 400 refusals change, at most 4" in measured(typicality=dict.fromkeys(range(1, 6), 0.4)).broken
    worse = measured(probability=dict.fromkeys(range(0, 40, 2), 0.05))
    assert any(message.startswith("AUC falls by") for message in worse.broken)
    assert worse.metrics["auc"].ci95_bootstrap is not None
    assert worse.metrics["auc"].ci95_bootstrap[1] < 0
    noise = RNG.random(HEATMAPS.shape).astype(np.float32)
    assert any("heatmap correlation" in message for message in measured(heatmap=noise).broken)


def test_a_file_that_is_too_large_misses_its_goal_but_is_written() -> None:
    assert SIZE_GOALS[Quantization.INT8] <= 0.3
    large = measured(size=301)
    assert large.missed_goals == ("30.1% of the float32 graph's size, at most 30% wished for",)
    assert large.broken == ()
    page = render_page("net 1.0.0", [Comparison(large, REFERENCE)], REFERENCE, list(POINTS.values()))
    assert "Goal missed: 30.1%" in page
    assert measured(size=300).missed_goals == ()
    assert measured(Quantization.FLOAT16, size=301).missed_goals == ()


def test_the_limits_are_those_promised() -> None:
    assert LIMITS[Quantization.FLOAT32].probability <= 1e-4
    assert LIMITS[Quantization.FLOAT16].probability <= 1e-2
    assert LIMITS[Quantization.FLOAT16].flips <= 1 / 1000  # none in version 1; pneumonet 2.0.0 has one of 1,000
    for kind in (Quantization.DYNAMIC, Quantization.INT8):
        assert LIMITS[kind].flips <= 1 / 200
        assert LIMITS[kind].auc_loss <= 0.001
        assert LIMITS[kind].heatmap_correlation >= 0.98


def test_a_form_without_heatmap_is_measured_without() -> None:
    parity = measured(heatmap=None)
    assert parity.heatmap_correlation is None
    assert parity.broken == ()


def test_the_page_stands_alone_and_names_what_broke() -> None:
    good, bad = measured(), measured(probability={0: 0.5, 2: 0.5, 4: 0.2})
    comparisons = [Comparison(parity, REFERENCE) for parity in (good, bad)]
    page = render_page("net 1.0.0", comparisons, REFERENCE, list(POINTS.values()))
    assert page == render_page("net 1.0.0", comparisons, REFERENCE, list(POINTS.values()))
    assert "Research use only. Not a medical device." in page
    assert page.count("All limits hold.") == 1
    assert "Not written: 3 of 400 decisions flip" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in re.sub(r"data:[^\"]*", "", page)


def test_parity_is_plain_json() -> None:
    text = json.dumps(asdict(measured(heatmap=None)), allow_nan=False)
    assert json.loads(text)["flips"]["low"]["count"] == 0
