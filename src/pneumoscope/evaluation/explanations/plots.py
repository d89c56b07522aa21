"""The picture of the tests of explanations: one figure of four panels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from pneumoscope.evaluation.explanations.summary import Check, ExplanationTests, Heatmap
from pneumoscope.evaluation.plots import BLUE, GREEN, GREY, ORANGE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES: Final[Mapping[Heatmap, str]] = {
    Heatmap.GRAD_CAM: "Grad-CAM",
    Heatmap.GRAD_CAM_PLUS_PLUS: "Grad-CAM++",
    Heatmap.RANDOM: "random map",
    Heatmap.CENTRE_BLOB: "centred blob",
    Heatmap.LUNGS: "lung mask",
}

_COLOURS: Final = dict(zip(Heatmap, (BLUE, ORANGE, GREY, VERMILION, GREEN), strict=True))
_STYLES: Final = dict(zip(Heatmap, ("-", "--", ":", "-.", (0, (5, 1))), strict=True))
_MARKERS: Final = dict(zip(Heatmap, "osDP^", strict=True))


def explanations(tests: ExplanationTests) -> Figure:
    """Insertion and deletion against the baselines, the randomisation cascade, and heat in the lungs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.8, 8.4), dpi=130, layout="constrained", facecolor="white")
    panels = figure.subplots(2, 2)
    _curves(panels[0, 0], tests, Check.INSERTION, "Insertion (higher is better)", "put on grey")
    _curves(panels[0, 1], tests, Check.DELETION, "Deletion (lower is better)", "made grey")
    _cascade(panels[1, 0], tests)
    _lungs(panels[1, 1], tests)
    return figure


def _curves(axes: Axes, tests: ExplanationTests, check: Check, title: str, done: str) -> None:
    axes.set_title(title)
    if not tests.scores.curves:
        _undefined(axes, tests)
        return
    for name, curves in tests.scores.curves.items():
        mean = curves[check].mean(axis=0)
        share = np.linspace(0, 1, len(mean))
        axes.plot(
            share, mean, linestyle=_STYLES[name], color=_COLOURS[name], marker=_MARKERS[name], ms=4, label=TITLES[name]
        )
    axes.set(xlabel=f"share of the pixels {done}, the hottest first", ylabel="mean log odds of pneumonia")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _cascade(axes: Axes, tests: ExplanationTests) -> None:
    axes.set_title("Layers randomised from the last downwards")
    if not tests.randomisation:
        _undefined(axes, tests, "randomisation")
        return
    layers = [0, *(stage.layers for stage in tests.randomisation)]
    for name, other in tests.other_image.items():
        if other.mean is not None:
            axes.axhline(other.mean, color=_COLOURS[name], ls=":", lw=1.2)
    for name in tests.randomisation[0].similarity:
        estimates = [stage.similarity[name] for stage in tests.randomisation]
        means = [1.0, *(np.nan if e.mean is None else e.mean for e in estimates)]
        axes.plot(
            layers,
            means,
            linestyle=_STYLES[name],
            color=_COLOURS[name],
            marker=_MARKERS[name],
            ms=5,
            label=TITLES[name],
        )
        for x, estimate in zip(layers[1:], estimates, strict=True):
            if estimate.ci95 is not None:
                axes.plot((x, x), estimate.ci95, "-", color=_COLOURS[name], lw=1.5, alpha=0.7)
    axes.plot([], [], ":", color=GREY, label="two different images")
    axes.set_xticks(layers)
    axes.set(xlabel="layers without what they learned", ylabel="rank correlation with the trained model's")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _lungs(axes: Axes, tests: ExplanationTests) -> None:
    axes.set_title("Heat inside the lungs")
    if not tests.means:
        _undefined(axes, tests)
        return
    for row, (name, means) in enumerate(tests.means.items()):
        found = means[Check.LUNG_SHARE]
        if found.mean is not None:
            axes.plot(found.mean, row, _MARKERS[name], color=_COLOURS[name], ms=8)
        if found.ci95 is not None:
            axes.plot(found.ci95, (row, row), "-", color=_COLOURS[name], lw=2)
    area = tests.scores.lung_area
    assert area is not None  # there are means, so there are images
    axes.axvline(area, color=GREY, ls="--", lw=1, label=f"the lungs' share of the area, {area:.2f}")
    axes.set_yticks(range(len(tests.means)), [TITLES[name] for name in tests.means])
    axes.invert_yaxis()
    axes.set(xlabel="mean share of the heat, 95 % interval", xlim=(0, 1))
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=9, loc="lower left")


def _undefined(axes: Axes, tests: ExplanationTests, what: str = "all") -> None:
    axes.set_axis_off()
    reason = tests.scores.undefined.get(what) or tests.scores.undefined.get("all", "not computed")
    axes.text(0.5, 0.5, f"Undefined:\n{reason}", ha="center", va="center", fontsize=11, wrap=True)
