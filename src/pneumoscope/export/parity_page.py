"""Parity as one self-contained page of figures and plots; it shows no radiograph."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pneumoscope.drawing.page import render as render_template
from pneumoscope.drawing.png import data_uri
from pneumoscope.evaluation.plots import BLUE, GREY, VERMILION
from pneumoscope.export.parity import ModelOutputs, Parity
from pneumoscope.model.contract import RESEARCH_USE_ONLY, OperatingPoint
from pneumoscope.statistics.odds import logit

_SATURATED = 1e-6


@dataclass(frozen=True, eq=False)
class Comparison:
    """One export's figures, and the judgements that they were made from.

    Attributes:
        parity: the figures.
        judged: by the exported graph.
    """

    parity: Parity
    judged: ModelOutputs


def render_page(
    model: str, comparisons: Sequence[Comparison], reference: ModelOutputs, points: Sequence[OperatingPoint]
) -> str:
    """The page as HTML, plots and styles inside.

    Args:
        model: what names it.
        comparisons: one for each export, at least one.
        reference: Keras' judgements of the same images.
        points: whose thresholds the plots show.
    """
    return render_template(
        "pneumoscope.export",
        "parity.html.j2",
        model=model,
        notice=RESEARCH_USE_ONLY,
        measured=[comparison.parity for comparison in comparisons],
        number=lambda value: "undefined" if value is None else f"{value:.4g}",
        percent=lambda value: f"{value:.1%}",
        figure=data_uri(_figure(comparisons, reference, [point.threshold for point in points])),
    )


def _figure(comparisons: Sequence[Comparison], reference: ModelOutputs, thresholds: Sequence[float]) -> bytes:
    """Left: log odds, export against Keras, with the thresholds. Right: histogram of the probability differences."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4 * len(comparisons)), layout="constrained")
    rows = figure.subplots(len(comparisons), 2, squeeze=False)
    ours = logit(reference.probability, edge=_SATURATED)
    cuts = logit(np.asarray(thresholds), edge=_SATURATED)
    for (scatter, histogram), comparison in zip(rows, comparisons, strict=True):
        title = f"{comparison.parity.quantization}, {comparison.parity.form}"
        scatter.axline((0, 0), slope=1, color=GREY, lw=0.8)
        scatter.plot(ours, logit(comparison.judged.probability, edge=_SATURATED), ".", ms=3, color=BLUE)
        for cut in cuts:
            scatter.axvline(cut, color=VERMILION, lw=0.6)
            scatter.axhline(cut, color=VERMILION, lw=0.6)
        scatter.set(title=title, xlabel="log odds, Keras", ylabel="log odds, exported")
        histogram.hist(comparison.judged.probability - reference.probability, bins=60, log=True, color=BLUE)
        histogram.set(title=title, xlabel="P(pneumonia), exported less Keras", ylabel="radiographs")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()
