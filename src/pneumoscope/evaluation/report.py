"""Assembles an :class:`EvaluationReport` from a table of predictions, and its JSON form."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.audit.reference import WHAT, shipped_reference
from pneumoscope.errors import DataError
from pneumoscope.evaluation import undefined
from pneumoscope.evaluation.answers import Answers, worth
from pneumoscope.evaluation.by_shortcut import ByShortcut, by_shortcut
from pneumoscope.evaluation.explanations.summary import ExplanationScores, ExplanationTests, summarise
from pneumoscope.evaluation.subgroups import (
    PointResult,
    SensitivityResult,
    SubtypeResult,
    ThreeClassResult,
    by_operating_point,
    by_sensitivity,
    by_subtype,
    three_class,
)
from pneumoscope.model.contract import RESEARCH_USE_ONLY, ConformalBand
from pneumoscope.statistics import bootstrap, intervals, metrics
from pneumoscope.statistics.calibration import ReliabilityBin, reliability_curve
from pneumoscope.statistics.compare import Comparison, Rival, compare
from pneumoscope.statistics.decision_curve import DecisionCurve, decision_curve
from pneumoscope.statistics.intervals import Interval
from pneumoscope.statistics.metrics import DECISION_METRICS, SCORE_METRICS, Counts, Metric
from pneumoscope.statistics.selective import COVERAGES, CoverageCurve, coverage_curve
from pneumoscope.statistics.table import LABEL_NAMES, PredictionTable

SENSITIVITIES: Final = (0.95, 0.99)
_PACKAGES: Final = ("pneumoscope", "numpy", "scipy", "scikit-learn", "statsmodels", "matplotlib", "seaborn")

REFUSAL_RULE: Final = (
    "A refused or unreadable image counts as a wrong decision in the confusion matrix and in every figure made "
    "of decisions; auc, average_precision, brier, ece and the curves are over the n_judged images."
)


@dataclass(frozen=True)
class MetricResult:
    """One figure with its intervals.

    Attributes:
        value: ``None`` where undefined.
        ci95: the interval to quote; ``None`` where there is none.
        method: how ``ci95`` was computed.
        ci95_bootstrap: percentiles of the bootstrap clustered by patient.
        undefined: by ``value``, ``ci95`` or ``ci95_bootstrap``: why it is ``None``.
    """

    value: float | None
    ci95: Interval | None
    method: str | None
    ci95_bootstrap: Interval | None
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Everything that is said about one table of predictions at one threshold.

    Attributes:
        table: what was judged.
        split: name of the split.
        model: name, version, sha256 and whatever else names the model.
        operating_point: name of the threshold.
        threshold: pneumonia from this probability on.
        metrics: the twelve figures.
        counts: the confusion matrix, refusals as errors.
        refused_by_class: refused or unreadable images by label.
        classification_report: scikit-learn's dict, refusals as errors.
        per_subtype: sensitivity by true subtype.
        three_class: where model and table tell subtypes.
        by_operating_point: every operating point on these images.
        at_sensitivity: specificity at fixed sensitivity.
        reliability: the calibration curve.
        decision_curve: net benefit; ``None`` without judged images.
        coverage: accuracy against coverage.
        answers: likelihood ratios, coverage of the prediction sets, and how many labels would check it.
        roc_band: 95 % band of the ROC curve at ``bootstrap.ROC_GRID``, or ``None``.
        bootstrap: draws, seed, clusters.
        command: that made the report.
        versions: of the software that computed it.
        by_shortcut: the figures by what can be told without lungs, where the table has that score.
        comparison: with a second model, where one was given.
        explanations: tests of the model's heatmaps, where they were made.
    """

    table: PredictionTable
    split: str
    model: Mapping[str, Any]
    operating_point: str
    threshold: float
    metrics: Mapping[Metric, MetricResult]
    counts: Counts
    refused_by_class: Mapping[str, int]
    classification_report: Mapping[str, Any]
    per_subtype: Mapping[str, SubtypeResult]
    three_class: ThreeClassResult | None
    by_operating_point: Mapping[str, PointResult]
    at_sensitivity: Mapping[float, SensitivityResult]
    reliability: tuple[ReliabilityBin, ...]
    decision_curve: DecisionCurve | None
    coverage: CoverageCurve
    answers: Answers
    roc_band: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    bootstrap: Mapping[str, Any]
    command: str
    versions: Mapping[str, str]
    by_shortcut: ByShortcut | None = None
    comparison: Comparison | None = None
    explanations: ExplanationTests | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of ``report.json``: no NaN anywhere, ``None`` with a reason under ``undefined``."""
        figures = self.metrics.items()
        return {
            "notice": RESEARCH_USE_ONLY,
            "split": self.split,
            "n": len(self.table),
            "n_judged": int(self.table.judged.sum()),
            "model": dict(self.model),
            "operating_point": self.operating_point,
            "threshold": self.threshold,
            **{metric.value: result.value for metric, result in figures},
            "confusion_matrix": {
                "tn": self.counts.tn,
                "fp": self.counts.fp,
                "fn": self.counts.fn,
                "tp": self.counts.tp,
            },
            "ci95": {metric.value: _pair(result.ci95) for metric, result in figures},
            "ci95_bootstrap": {metric.value: _pair(result.ci95_bootstrap) for metric, result in figures},
            "ci95_method": {metric.value: result.method for metric, result in figures},
            "undefined": undefined.reasons(self),
            "bootstrap": dict(self.bootstrap),
            "per_subtype": {name: result.to_json() for name, result in self.per_subtype.items()},
            "three_class": self.three_class.to_json() if self.three_class else None,
            "by_operating_point": {name: point.to_json() for name, point in self.by_operating_point.items()},
            "by_shortcut": [group.to_json() for group in self.by_shortcut.groups] if self.by_shortcut else [],
            "worst_group": self.by_shortcut and self.by_shortcut.worst_json(),
            "shortcut": self.by_shortcut and self.by_shortcut.to_json(),
            "at_sensitivity": {f"{wanted:.2f}": r.to_json() for wanted, r in self.at_sensitivity.items()},
            "refused": [p for p, ok in zip(self.table.paths, self.table.judged, strict=True) if not ok],
            "notes": _notes(self.table),
            "refused_by_class": dict(self.refused_by_class),
            "refusal_rule": REFUSAL_RULE,
            "classification_report": dict(self.classification_report),
            "reliability": [
                {"n": b.n, "mean_probability": b.mean_probability, "observed": b.observed, "ci95": list(b.ci95)}
                for b in self.reliability
            ],
            "decision_curve": _decision_json(self.decision_curve),
            "coverage": [
                {"coverage": wanted, "n": self.coverage.at(wanted)[0], "accuracy": self.coverage.at(wanted)[1]}
                for wanted in COVERAGES
            ],
            "answers": self.answers.to_json(),
            "data": {
                "sha256": self.table.digest(),
                "sha256_of": "image hashes and labels" if all(self.table.sha256 or [None]) else "paths and labels",
            },
            "command": self.command,
            "versions": dict(self.versions),
            "comparison": self.comparison and self.comparison.to_json(),
            "explanations": self.explanations and self.explanations.to_json(),
        }


def assemble(
    table: PredictionTable,
    *,
    threshold: float,
    operating_point: str,
    operating_points: Mapping[str, float],
    split: str,
    model: Mapping[str, Any],
    command: str = "",
    rival: Rival | None = None,
    explanations: ExplanationScores | None = None,
    conformal: ConformalBand | None = None,
    shortcut_limit: float | None = None,
    shortcut_source: str = WHAT,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> EvaluationReport:
    """Compute every figure of a report.

    Args:
        table: predictions.
        threshold: pneumonia from this probability on, 0..1.
        operating_point: its name.
        operating_points: all thresholds that the model knows by name.
        split: name of the split.
        model: what names the model.
        command: that the report is made by.
        rival: a second model on the same images.
        explanations: scores of the model's heatmaps on some of the images.
        conformal: scores at which the model does not know, of its contract.
        shortcut_limit: shortcut scores from here on speak for pneumonia; the shipped score's own for ``None``.
        shortcut_source: what made the table's shortcut scores, in words.
        draws: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        DataError: the threshold is not in 0..1, or the rival's table is not about the same images.
    """
    if not 0 <= threshold <= 1:
        raise DataError(f"threshold {threshold}: must be in 0..1")
    labels, judged = table.labels, table.judged
    judged_labels, judged_scores = labels[judged], table.probabilities[judged]
    decisions = table.decisions(threshold)
    resampling = bootstrap.Resampling.draw(table.patients, len(table), draws=draws, seed=seed)
    drawn = (
        bootstrap.score_draws(resampling, labels, table.probabilities, judged, SENSITIVITIES) if judged.any() else None
    )
    return EvaluationReport(
        table=table,
        split=split,
        model=model,
        operating_point=operating_point,
        threshold=threshold,
        metrics=_metric_results(table, decisions, resampling, drawn),
        counts=metrics.confusion(labels, decisions),
        refused_by_class={name: int((~judged & (labels == k)).sum()) for k, name in enumerate(LABEL_NAMES)},
        classification_report=_classification_report(labels, decisions),
        per_subtype=by_subtype(table, decisions, resampling),
        three_class=three_class(table),
        by_operating_point=by_operating_point(table, {**operating_points, operating_point: threshold}),
        at_sensitivity=by_sensitivity(judged_labels, judged_scores, drawn),
        reliability=reliability_curve(judged_labels, judged_scores) if drawn else (),
        decision_curve=decision_curve(judged_labels, judged_scores) if drawn else None,
        coverage=coverage_curve(labels, table.probabilities, threshold),
        answers=worth(table, threshold, conformal),
        roc_band=bootstrap.percentile_band(drawn.tpr) if drawn else None,
        bootstrap={
            "draws": draws,
            "seed": seed,
            "interval": "percentile",
            "clusters": resampling.patients,
            "clustered_by": "patient" if table.patients is not None else "image (no patient keys were given)",
            "images_without_patient": len(table) if table.patients is None else table.patients.count(None),
        },
        by_shortcut=_by_shortcut(table, threshold, resampling, shortcut_limit, shortcut_source),
        command=command,
        versions=_versions(),
        comparison=None if rival is None else compare(table, threshold, rival, draws=draws, seed=seed),
        explanations=None if explanations is None else summarise(explanations, draws=draws, seed=seed),
    )


def _by_shortcut(
    table: PredictionTable, threshold: float, resampling: bootstrap.Resampling, limit: float | None, source: str
) -> ByShortcut | None:
    if table.shortcut is None:
        return None
    limit = shipped_reference().limit if limit is None else limit
    return by_shortcut(table, threshold, resampling, limit=limit, source=source)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **packages}


def _metric_results(
    table: PredictionTable,
    decisions: NDArray[np.int64],
    resampling: bootstrap.Resampling,
    drawn: bootstrap.ScoreDraws | None,
) -> dict[Metric, MetricResult]:
    labels, judged = table.labels, table.judged
    counts = metrics.confusion(labels, decisions)
    by_decision = metrics.decision_estimates(counts)
    by_score = metrics.score_estimates(labels[judged], table.probabilities[judged])
    settled = metrics.refusals_as_errors(labels, decisions)
    draws = {**bootstrap.decision_draws(resampling, labels, settled), **(drawn.metrics if drawn else {})}
    values = {**by_decision.values, **by_score.values}
    reasons = {**by_decision.undefined, **by_score.undefined}
    results = {}
    for metric in (*DECISION_METRICS, *SCORE_METRICS):
        value = values[metric]
        if value is None:
            why = f"{metric} is undefined: {reasons[metric]}"
            unknown = {"value": reasons[metric], "ci95": why, "ci95_bootstrap": why}
            results[metric] = MetricResult(None, None, None, None, unknown)
            continue
        boot = bootstrap.percentile_interval(draws[metric])
        ci95, method = boot, "bootstrap clustered by patient"
        if proportion := counts.proportion(metric):
            ci95, method = intervals.wilson(*proportion), "Wilson"
        elif metric is Metric.AUC:
            ci95, method = _auc_interval(labels[judged], table.probabilities[judged])
        why = f"{metric} is undefined in more than half of the draws"
        unknown = {} if boot else {"ci95_bootstrap": why}
        if ci95 is None:
            unknown["ci95"] = why
        results[metric] = MetricResult(value, ci95, method, boot, unknown)
    return results


def _auc_interval(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[Interval, str]:
    estimate = intervals.delong(labels, scores)
    if interval := estimate.interval():
        return interval, "DeLong"
    score = intervals.newcombe_auc(float(estimate.aucs[0]), estimate.positives, estimate.negatives)
    return score, "Newcombe score (DeLong's variance is zero or needs two images of each class)"


def _classification_report(labels: NDArray[np.int64], decisions: NDArray[np.int64]) -> dict[str, Any]:
    from sklearn.metrics import classification_report

    made = classification_report(
        labels,
        metrics.refusals_as_errors(labels, decisions),
        labels=[0, 1],
        target_names=list(LABEL_NAMES),
        output_dict=True,
        zero_division=np.nan,
    )
    return {str(name): _without_nan(value) for name, value in made.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _without_nan(part) for name, part in value.items()}
    number = float(value)
    return None if math.isnan(number) else number


def _notes(table: PredictionTable) -> list[dict[str, Any]]:
    """What readers of the records must know, each note once with the images that bear it."""
    images: dict[str, list[str]] = {}
    for path, notes in zip(table.paths, table.notes or ((),) * len(table), strict=True):
        for note in notes:
            images.setdefault(note.removeprefix(f"{path}: "), []).append(path)
    return [{"note": note, "n": len(paths), "images": paths} for note, paths in images.items()]


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _decision_json(curve: DecisionCurve | None) -> dict[str, list[float]] | None:
    if curve is None:
        return None
    return {"threshold": list(curve.thresholds), "model": list(curve.model), "treat_all": list(curve.treat_all)}
