"""Two models on the same images: paired tests and intervals of each difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.intervals import Interval, delong
from pneumoscope.statistics.metrics import (
    DECISION_METRICS,
    SCORE_METRICS,
    Metric,
    confusion,
    decision_estimates,
    refusals_as_errors,
    score_estimates,
)
from pneumoscope.statistics.table import PredictionTable


@dataclass(frozen=True)
class Rival:
    """The model to compare with.

    Attributes:
        table: its predictions of the same images, in any order.
        threshold: its own.
        operating_point: name of that threshold.
        model: what names it.
    """

    table: PredictionTable
    threshold: float
    operating_point: str
    model: Mapping[str, Any]


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of the decisions.

    Attributes:
        only_a_right: images that only the first model decided rightly.
        only_b_right: images that only the second did.
        p_value: two-sided, of the two being equally likely.
    """

    only_a_right: int
    only_b_right: int
    p_value: float


@dataclass(frozen=True)
class DeLongTest:
    """DeLong's test of two correlated AUCs.

    Attributes:
        difference: AUC of the first less that of the second.
        ci95: of the difference.
        p_value: two-sided.
    """

    difference: float
    ci95: Interval
    p_value: float


@dataclass(frozen=True)
class Difference:
    """One figure of both models on the same images.

    Attributes:
        a: of the first model, ``None`` where undefined.
        b: of the second.
        difference: a - b.
        ci95_bootstrap: of the difference, both models in the same draws.
    """

    a: float | None
    b: float | None
    difference: float | None
    ci95_bootstrap: Interval | None


@dataclass(frozen=True)
class Comparison:
    """A paired comparison, first model less second.

    Attributes:
        model_b: what names the second model.
        operating_point_b: name of its threshold.
        threshold_b: its threshold.
        n: images.
        n_judged_by_both: images that AUC, average precision, Brier and ECE are over.
        mcnemar: of the decisions.
        delong: of the AUCs; ``None`` with the reason in ``undefined``.
        differences: every figure.
        undefined: what is ``None`` and why.
    """

    model_b: Mapping[str, Any]
    operating_point_b: str
    threshold_b: float
    n: int
    n_judged_by_both: int
    mcnemar: McNemar
    delong: DeLongTest | None
    differences: Mapping[Metric, Difference]
    undefined: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json`` under ``comparison``."""
        test = self.delong
        return {
            "model_b": dict(self.model_b),
            "operating_point_b": self.operating_point_b,
            "threshold_b": self.threshold_b,
            "n": self.n,
            "n_judged_by_both": self.n_judged_by_both,
            "mcnemar": {
                "only_a_right": self.mcnemar.only_a_right,
                "only_b_right": self.mcnemar.only_b_right,
                "p_value": self.mcnemar.p_value,
            },
            "delong": test and {"difference": test.difference, "ci95": list(test.ci95), "p_value": test.p_value},
            "differences": {
                metric.value: {
                    "a": d.a,
                    "b": d.b,
                    "difference": d.difference,
                    "ci95_bootstrap": d.ci95_bootstrap and list(d.ci95_bootstrap),
                }
                for metric, d in self.differences.items()
            },
            "undefined": dict(self.undefined),
        }


def compare(
    table: PredictionTable, threshold: float, rival: Rival, *, draws: int = bootstrap.DRAWS, seed: int = 0
) -> Comparison:
    """Compare two models on the same images.

    Figures made of decisions are over all images, a refusal being an error of the model that refused; figures
    made of scores are over the images that both judged.

    Args:
        table: predictions of the first model.
        threshold: of the first model.
        rival: the second model.
        draws: bootstrap draws, the same patients for both.
        seed: of the bootstrap.

    Raises:
        DataError: the tables are not about the same images, or their labels differ.
    """
    other = _aligned(table, rival.table)
    labels = table.labels
    settled = [
        refusals_as_errors(labels, one.decisions(cut)) for one, cut in ((table, threshold), (other, rival.threshold))
    ]
    both = table.judged & other.judged
    resampling = bootstrap.Resampling.draw(table.patients, len(table), draws=draws, seed=seed)
    scores = [np.where(both, one.probabilities, np.nan) for one in (table, other)]
    values, drawn = [], []
    for decided, score in zip(settled, scores, strict=True):
        by_decision = decision_estimates(confusion(labels, decided)).values
        values.append({**by_decision, **score_estimates(labels[both], score[both]).values})
        by_score = bootstrap.score_draws(resampling, labels, score, both).metrics if both.any() else {}
        drawn.append({**bootstrap.decision_draws(resampling, labels, decided), **by_score})
    test = _delong_test(labels[both], np.stack([score[both] for score in scores]))
    differences = {
        metric: _difference(values[0][metric], values[1][metric], drawn[0].get(metric), drawn[1].get(metric))
        for metric in (*DECISION_METRICS, *SCORE_METRICS)
    }
    undefined = {
        metric.value: "undefined for one of the models or both"
        for metric, difference in differences.items()
        if difference.difference is None
    }
    if isinstance(test, str):
        undefined["delong"] = test
    return Comparison(
        model_b=rival.model,
        operating_point_b=rival.operating_point,
        threshold_b=rival.threshold,
        n=len(table),
        n_judged_by_both=int(both.sum()),
        mcnemar=mcnemar_test(settled[0] == labels, settled[1] == labels),
        delong=None if isinstance(test, str) else test,
        differences=differences,
        undefined=undefined,
    )


def mcnemar_test(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test (McNemar, Psychometrika 1947, doi 10.1007/BF02295996; statsmodels).

    Args:
        a_right: ``bool [N]``, where the first model decided rightly.
        b_right: ``bool [N]``, the second.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    only_a, only_b = int((a_right & ~b_right).sum()), int((~a_right & b_right).sum())
    table = [[int((a_right & b_right).sum()), only_a], [only_b, int((~a_right & ~b_right).sum())]]
    # Where the models never differ there is nothing to test; the exact test's p is 1 by definition.
    p_value = float(mcnemar(table, exact=True).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, min(p_value, 1.0))


def _delong_test(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> DeLongTest | str:
    """The test, or why there is none."""
    from scipy.stats import norm

    if labels.all() or not labels.any():
        return "the images that both judged are all of one class"
    estimate = delong(labels, scores)
    error, interval = estimate.difference_error(), estimate.difference_interval()
    if error is None or interval is None:
        return "the variance of the difference is zero or needs two images of each class"
    difference = float(estimate.aucs[0] - estimate.aucs[1])
    return DeLongTest(difference, interval, float(2 * norm.sf(abs(difference) / error)))


def _difference(
    a: float | None, b: float | None, draws_a: NDArray[np.float64] | None, draws_b: NDArray[np.float64] | None
) -> Difference:
    if a is None or b is None or draws_a is None or draws_b is None:
        return Difference(a, b, None, None)
    return Difference(a, b, a - b, bootstrap.percentile_interval(draws_a - draws_b))


def _aligned(table: PredictionTable, other: PredictionTable) -> PredictionTable:
    """The other table in the order of the first."""
    rows = {path: row for row, path in enumerate(other.paths)}
    missing = [path for path in table.paths if path not in rows]
    if missing or len(other) != len(table):
        example = f", the first {missing[0]}" if missing else ""
        raise DataError(
            f"the models were not run on the same images: {len(table)} and {len(other)}, {len(missing)} of the first "
            f"model's lack a prediction of the second{example}"
        )
    order = np.array([rows[path] for path in table.paths])
    differing = np.flatnonzero(table.labels != other.labels[order])
    if len(differing):
        raise DataError(f"{table.paths[differing[0]]}: the two tables give it different labels")
    return PredictionTable(
        paths=table.paths,
        labels=table.labels,
        probabilities=other.probabilities[order],
        statuses=tuple(other.statuses[row] for row in order),
    )
