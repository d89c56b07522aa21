"""The pictures of a report: functions from results to matplotlib figures, no global state, colour-blind safe.

Figures are made through the object-oriented API (``matplotlib.figure.Figure``), so no display is needed and
no pyplot state is touched. Where a curve is undefined the figure says why in its place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.evaluation.report import EvaluationReport
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.metrics import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart under the common colour vision deficiencies.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
GREY: Final = "#6E6E6E"

_CYCLE: Final = (BLUE, ORANGE, GREEN, VERMILION, GREY, "black")
_STYLES: Final = ("-", "--", "-.", ":", "-", "--")

_SIZE: Final = (5.4, 4.6)
_DPI: Final = 150
_MARKERS: Final = "osD^vP"
_ZOOM: Final = 0.3  # side of the ROC's enlarged corner
_BENEFIT_FLOOR: Final = -0.1


def confusion_matrix(report: EvaluationReport) -> Figure:
    """Counts and row shares; refusals stand under the wrong answer and are named in the title."""
    import seaborn as sns

    figure, axes = _figure("Confusion matrix")
    counts = np.array([[report.counts.tn, report.counts.fp], [report.counts.fn, report.counts.tp]])
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    texts = np.array(
        [[f"{n:,}\n{s:.1%}" for n, s in zip(*pair, strict=True)] for pair in zip(counts, shares, strict=True)]
    )
    names = ["NORMAL", "PNEUMONIA"]
    sns.heatmap(
        shares, annot=texts, fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, ax=axes, square=True,
        xticklabels=names, yticklabels=names, annot_kws={"size": 16}, linewidths=1,
    )  # fmt: skip
    axes.tick_params(axis="y", rotation=90)
    refused = sum(report.refused_by_class.values())
    axes.set(xlabel=f"decision at {report.threshold:.3g} ({report.operating_point})", ylabel="label")
    axes.set_title(f"Confusion matrix, n = {report.counts.n:,}" + (f", {refused} refused = wrong" if refused else ""))
    return figure


def roc(report: EvaluationReport) -> Figure:
    """ROC curve with its 95 % bootstrap band, the operating points, and the upper left corner enlarged."""
    from sklearn.metrics import roc_curve

    auc = report.metrics[Metric.AUC]
    if auc.value is None:
        return _undefined("ROC curve", auc.undefined["value"])
    figure, axes = _figure("ROC curve")
    labels, scores = _judged(report)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    inset = axes.inset_axes((0.42, 0.3, 0.55, 0.55), xlim=(0, _ZOOM), ylim=(1 - _ZOOM, 1.005))
    inset.tick_params(labelsize=8)
    for panel in (axes, inset):
        if report.roc_band:
            panel.fill_between(bootstrap.ROC_GRID, *report.roc_band, color=BLUE, alpha=0.2, lw=0, label="95 % band")
        panel.plot(fpr, tpr, color=BLUE, lw=1.8, label=f"AUC {_with_interval(auc.value, auc.ci95)}")
        for marker, (name, point) in zip(_MARKERS, report.by_operating_point.items(), strict=False):
            sensitivity, specificity = point.values[Metric.SENSITIVITY], point.values[Metric.SPECIFICITY]
            if sensitivity is not None and specificity is not None:
                panel.plot(1 - specificity, sensitivity, marker, color=VERMILION, ms=7, mec="white", label=name)
        panel.grid(alpha=0.3)
    axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
    axes.indicate_inset_zoom(inset, edgecolor=GREY)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right", fontsize=8, ncols=2, framealpha=0.95)
    return figure


def precision_recall(report: EvaluationReport) -> Figure:
    """Precision against sensitivity with the prevalence as the baseline."""
    from sklearn.metrics import precision_recall_curve

    ap = report.metrics[Metric.AVERAGE_PRECISION]
    if ap.value is None:
        return _undefined("Precision and recall", ap.undefined["value"])
    figure, axes = _figure("Precision and recall")
    labels, scores = _judged(report)
    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.step(recall, precision, where="post", color=BLUE, lw=1.8, label=f"AP {_with_interval(ap.value, ap.ci95)}")
    axes.axhline(labels.mean(), ls="--", color=GREY, lw=1, label=f"prevalence {labels.mean():.3f}")
    for marker, (name, point) in zip(_MARKERS, report.by_operating_point.items(), strict=False):
        sensitivity, found = point.values[Metric.SENSITIVITY], point.values[Metric.PRECISION]
        if sensitivity is not None and found is not None:
            axes.plot(sensitivity, found, marker, color=VERMILION, ms=7, mec="white", label=name)
    floor = max(0.0, float(min(labels.mean(), precision[:-1].min())) - 0.05)
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1.01), ylim=(floor, 1.01))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=9)
    return figure


def reliability(report: EvaluationReport) -> Figure:
    """Observed share of pneumonia against predicted probability, Wilson bars, histogram below."""
    ece = report.metrics[Metric.ECE]
    if ece.value is None:
        return _undefined("Reliability", ece.undefined["value"])
    figure = _empty_figure()
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    predicted = [b.mean_probability for b in report.reliability]
    observed = np.array([b.observed for b in report.reliability])
    bars = np.array([[b.observed - b.ci95[0], b.ci95[1] - b.observed] for b in report.reliability]).T
    axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1, label="calibrated")
    axes.errorbar(predicted, observed, yerr=np.maximum(bars, 0), fmt="o-", color=BLUE, lw=1.2, ms=5, capsize=2,
                  label=f"{len(observed)} bins of equal mass")  # fmt: skip
    axes.set(title=f"Reliability, ECE {ece.value:.3f}", ylabel="observed pneumonia", ylim=(-0.02, 1.02))
    axes.legend(loc="upper left", fontsize=9)
    axes.grid(alpha=0.3)
    below.hist(_judged(report)[1], bins=30, range=(0, 1), color=BLUE, alpha=0.7)
    below.set(xlabel="predicted P(pneumonia)", ylabel="images", xlim=(-0.02, 1.02), yscale="log")
    return figure


def score_histograms(report: EvaluationReport) -> Figure:
    """Scores by class on a logarithmic count, with the threshold."""
    import seaborn as sns

    if not report.table.judged.any():
        return _undefined("Scores by class", "no image was judged")
    figure, axes = _figure("Scores by class")
    labels, scores = _judged(report)
    for label, (name, colour, hatch) in enumerate((("NORMAL", BLUE, "///"), ("PNEUMONIA", ORANGE, None))):
        if (labels == label).any():
            sns.histplot(
                x=scores[labels == label], bins=30, binrange=(0, 1), color=colour, alpha=0.55, ax=axes,
                label=f"{name}, n = {int((labels == label).sum()):,}", hatch=hatch, edgecolor=colour,
            )  # fmt: skip
    axes.axvline(
        report.threshold, color="black", lw=1.4, ls="--", label=f"{report.operating_point} {report.threshold:.3g}"
    )
    axes.set(xlabel="P(pneumonia)", ylabel="images", yscale="log", xlim=(0, 1))
    axes.legend(loc="upper center", fontsize=9)
    return figure


def decision_curve(report: EvaluationReport) -> Figure:
    """Net benefit of the model, of treating all and of treating none."""
    curve = report.decision_curve
    if curve is None:
        return _undefined("Decision curve", "no image was judged")
    figure, axes = _figure("Decision curve")
    axes.plot(curve.thresholds, curve.model, color=BLUE, lw=2, label="by the model")
    axes.plot(curve.thresholds, curve.treat_all, color=VERMILION, lw=1.5, ls="--", label="treat all")
    axes.axhline(0, color=GREY, lw=1.2, ls=":", label="treat none")
    highest = max(*curve.model, *curve.treat_all, 0.05)
    axes.set(
        xlabel="threshold probability",
        ylabel="net benefit per image",
        xlim=(0, 1),
        ylim=(_BENEFIT_FLOOR, highest * 1.08),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=9)
    return figure


def coverage(report: EvaluationReport) -> Figure:
    """Accuracy of the most certain images against the share kept."""
    figure, axes = _figure("Accuracy as the least certain are set aside")
    curve = report.coverage
    kept = curve.coverage >= min(0.2, curve.coverage[-1])
    axes.plot(curve.coverage[kept], curve.accuracy[kept], color=BLUE, lw=2, marker="o" if kept.sum() == 1 else None)
    axes.set(xlabel="share of images kept (most certain first)", ylabel="accuracy among them", xlim=(1.01, 0.2))
    axes.grid(alpha=0.3)
    return figure


def comparison(report: EvaluationReport) -> Figure:
    """Difference of every figure between the two models with its paired 95 % interval."""
    compared = report.comparison
    if compared is None:
        raise ValueError("the report holds no comparison")
    known = [
        (metric, d.difference, d.ci95_bootstrap)
        for metric, d in compared.differences.items()
        if d.difference is not None
    ]
    if not known:
        return _undefined("Differences", "no figure is defined for both models")
    figure, axes = _figure(f"{_name(report.model)} less {_name(compared.model_b)}")
    for row, (metric, difference, interval) in enumerate(known):
        worse_up = metric in (Metric.BRIER, Metric.ECE)
        axes.plot(difference, row, "s" if worse_up else "o", color=ORANGE if worse_up else BLUE, ms=7)
        if interval:
            axes.plot(interval, (row, row), "-", color=ORANGE if worse_up else BLUE, lw=2)
    axes.axvline(0, color=GREY, ls="--", lw=1)
    axes.set_yticks(range(len(known)), [metric.replace("_", " ") for metric, *_ in known])
    axes.invert_yaxis()
    axes.grid(alpha=0.3, axis="x")
    axes.set_xlabel("difference (circles: more is better; squares: less is)")
    return figure


def training_curves(log: Path) -> Figure:
    """Losses and other validation figures over the epochs of a run.

    Args:
        log: CSV with the columns ``epoch``, ``loss``, ``val_loss`` and others whose names end in ``_nll``
            (drawn with the losses) or ``_auc``, or start with ``val_``.

    Raises:
        DataError: not such a file.
    """
    columns = _read_log(log)
    epochs = columns.pop("epoch")
    losses = {name: v for name, v in columns.items() if name == "loss" or name.endswith(("_loss", "_nll"))}
    others = {
        name: v for name, v in columns.items() if name not in losses and ("auc" in name or name.startswith("val_"))
    }
    figure = _empty_figure()
    panels = figure.subplots(2 if others else 1, 1, sharex=True, squeeze=False)[:, 0]
    for axes, group in zip(panels, (losses, others), strict=False):
        for (name, values), colour, style in zip(group.items(), _CYCLE, _STYLES, strict=False):
            axes.plot(epochs, values, style, color=colour, lw=1.8, label=name, marker="o" if len(epochs) < 3 else None)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    panels[0].set(title="Training", ylabel="loss")
    panels[-1].set(xlabel="epoch")
    return figure


FIGURES: Final[Mapping[str, Callable[[EvaluationReport], Figure]]] = {
    "confusion_matrix.png": confusion_matrix,
    "roc.png": roc,
    "precision_recall.png": precision_recall,
    "reliability.png": reliability,
    "score_histograms.png": score_histograms,
    "decision_curve.png": decision_curve,
    "coverage.png": coverage,
}
"""File name -> how it is drawn: every report has all of these."""


def png(figure: Figure) -> bytes:
    """A figure as PNG bytes, the notice under it, the same bytes for the same figure."""
    figure.supxlabel(RESEARCH_USE_ONLY, x=0.99, ha="right", fontsize=7, color=GREY)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "Pneumoscope", "Disclaimer": RESEARCH_USE_ONLY})
    return stream.getvalue()


def _read_log(log: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with log.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else {})}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{log}: not a training log ({error})") from error
    if "epoch" not in columns or "loss" not in columns:
        raise DataError(f"{log}: not a training log; it needs the columns epoch and loss, and a row an epoch")
    return columns


def _name(model: Mapping[str, Any]) -> str:
    return str(model.get("name", "unnamed model"))


def _empty_figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=_SIZE, dpi=_DPI, layout="constrained", facecolor="white")


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = _empty_figure()
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _undefined(title: str, reason: str) -> Figure:
    figure, axes = _figure(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"Undefined:\n{reason}", ha="center", va="center", fontsize=13, wrap=True)
    return figure


def _judged(report: EvaluationReport) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    judged = report.table.judged
    return report.table.labels[judged], report.table.probabilities[judged]


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
