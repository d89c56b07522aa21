"""The report as one self-contained page: every picture inlined, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pneumoscope.drawing.page import render as render_template
from pneumoscope.drawing.png import data_uri
from pneumoscope.evaluation.explanations.plots import TITLES
from pneumoscope.evaluation.explanations.summary import Heatmap
from pneumoscope.evaluation.report import REFUSAL_RULE, EvaluationReport
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.statistics.metrics import Metric
from pneumoscope.statistics.odds import logit
from pneumoscope.statistics.table import LABEL_NAMES

ERRORS_SHOWN: Final = 12
HEATMAPS_SHOWN: Final = 6
_EDGE: Final = 1e-12
ABBREVIATIONS: Final = frozenset({"npv", "f1", "mcc", "auc", "ece"})

CAPTIONS: Final[Mapping[str, str]] = {
    "confusion_matrix.png": "Confusion matrix with the share of each row",
    "roc.png": "ROC curve, its 95 % bootstrap band and the operating points; upper left corner enlarged",
    "precision_recall.png": "Precision and recall; the line is the prevalence",
    "reliability.png": "Observed against predicted probability; below, how often each was predicted",
    "score_histograms.png": "Scores by class on a logarithmic count",
    "decision_curve.png": "Net benefit of acting on the model, on everyone and on no one",
    "coverage.png": "Accuracy among the most certain",
    "comparison.png": "Paired differences with 95 % bootstrap intervals",
    "training.png": "The run that made the model",
    "explanations.png": "The tests of the heatmaps; bars and the points' lines are 95 % intervals",
}


@dataclass(frozen=True)
class ConfidentError:
    """A wrong decision, far from the threshold.

    Attributes:
        path: of the image.
        label: its true class.
        decision: what the model said.
        probability: P(pneumonia).
        picture: data URI, or ``None``.
    """

    path: str
    label: str
    decision: str
    probability: float
    picture: str | None


def render(
    report: EvaluationReport,
    figures: Mapping[str, bytes],
    render_error: Callable[[str], bytes | None] | None = None,
    render_heatmaps: Callable[[str], bytes | None] | None = None,
) -> str:
    """The page.

    Args:
        report: what it says.
        figures: PNG bytes by file name.
        render_error: path -> PNG bytes of a wrongly judged image, or ``None`` where it cannot be drawn.
        render_heatmaps: path -> PNG bytes of an image with its heatmaps side by side, likewise.
    """
    filters: Mapping[str, Callable[..., Any]] = {
        "figure": _number,
        "percent": _percent,
        "interval": _interval,
        "percents": _percents,
        "title_of": title_of,
        "heatmap": _heatmap,
        "mean": _mean,
        "ratio": _ratio,
    }
    return render_template(
        "pneumoscope.evaluation",
        "report.html.j2",
        filters,
        notice=RESEARCH_USE_ONLY,
        refusal_rule=REFUSAL_RULE,
        report=report.to_json(),
        name_a=_model_name(report.model),
        name_b=_model_name(report.comparison.model_b) if report.comparison else None,
        metrics=list(report.metrics.items()),
        errors=confident_errors(report, render_error),
        wrong=report.counts.fp + report.counts.fn,
        figures=[(name, CAPTIONS[name], data_uri(content)) for name, content in figures.items()],
        heatmaps=_heatmap_examples(report, render_heatmaps),
    )


def confident_errors(
    report: EvaluationReport, render_error: Callable[[str], bytes | None] | None = None, shown: int = ERRORS_SHOWN
) -> list[ConfidentError]:
    """The wrong decisions that lie farthest from the threshold on the logit scale, farthest first.

    Args:
        report: whose decisions.
        render_error: draws one, see :func:`render`.
        shown: how many at most.
    """
    table = report.table
    decisions = table.decisions(report.threshold)
    wrong = np.flatnonzero((decisions >= 0) & (decisions != table.labels))
    distance = np.abs(logit(table.probabilities[wrong], edge=_EDGE) - logit(report.threshold, edge=_EDGE))
    errors = []
    for row in wrong[np.argsort(-distance, kind="stable")][:shown]:
        path = table.paths[row]
        picture = render_error(path) if render_error is not None else None
        errors.append(
            ConfidentError(
                path,
                LABEL_NAMES[table.labels[row]],
                LABEL_NAMES[decisions[row]],
                float(table.probabilities[row]),
                None if picture is None else data_uri(picture),
            )
        )
    return errors


def _heatmap_examples(
    report: EvaluationReport, render_heatmaps: Callable[[str], bytes | None] | None
) -> list[tuple[str, str]]:
    """Paths and pictures of the first of the images that the heatmaps were tested on."""
    if report.explanations is None or render_heatmaps is None:
        return []
    drawn = ((path, render_heatmaps(path)) for path in report.explanations.scores.paths[:HEATMAPS_SHOWN])
    return [(path, data_uri(picture)) for path, picture in drawn if picture is not None]


def title_of(metric: str) -> str:
    """A metric's name as people write it: ``balanced accuracy``, ``AUC``."""
    if metric == Metric.BRIER:
        return "Brier"  # a name
    return metric.upper() if metric in ABBREVIATIONS else metric.replace("_", " ")


def _model_name(model: Mapping[str, Any]) -> str:
    return " ".join(str(model[key]) for key in ("name", "version") if key in model) or "unnamed model"


def _heatmap(name: str) -> str:
    return TITLES[Heatmap(name)]


def _number(value: Any) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _percent(value: Any) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"


def _mean(estimate: Mapping[str, Any]) -> str:
    if estimate["mean"] is None:
        return "undefined: the heatmaps are blank"
    interval = "" if estimate["ci95"] is None else f" ({estimate['ci95'][0]:.3f} to {estimate['ci95'][1]:.3f})"
    blank = f", {estimate['n_undefined']} blank" if estimate["n_undefined"] else ""
    return f"{estimate['mean']:.3f}{interval}{blank}"


def _ratio(ratio: Mapping[str, Any]) -> str:
    value, ends = (_factor(ratio["value"]), [_factor(end) for end in ratio["ci95"]])
    return f"{value} ({ends[0]} to {ends[1]})"


def _factor(value: float | None) -> str:
    return "infinity" if value is None else f"{value:.3g}"


def _percents(value: Any) -> str:
    return "none" if value is None else f"{100 * value[0]:.1f} to {100 * value[1]:.1f} %"


def _interval(value: Any) -> str:
    return "none" if value is None else f"{value[0]:.4f} to {value[1]:.4f}"
