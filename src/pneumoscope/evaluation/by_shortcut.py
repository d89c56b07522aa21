"""Figures by the shortcut score: how a model does where the framing speaks for the label, and where against it.

A model that reads the lungs does about as well in each group; one that reads the framing does well where that is right
and badly where it misleads. The worst group is the figure to compare models by (Sagawa et al. 2020, arXiv 1911.08731).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.statistics import bootstrap
from pneumoscope.statistics.intervals import Interval, delong, newcombe_auc, wilson
from pneumoscope.statistics.metrics import refusals_as_errors
from pneumoscope.statistics.shortcut import BINS, conflicting
from pneumoscope.statistics.table import LABEL_NAMES, PredictionTable

FEWEST: Final = 10
"""Images below which a group is too small to be called the worst."""

_RATES: Final = ("specificity", "sensitivity")


@dataclass(frozen=True)
class Rate:
    """Share of right decisions among the images of one class; refusals are errors.

    Attributes:
        n: images.
        value: 0..1, ``None`` without images.
        ci95: Wilson.
        ci95_bootstrap: clustered by patient.
    """

    n: int
    value: float | None
    ci95: Interval | None
    ci95_bootstrap: Interval | None

    def to_json(self, name: str) -> dict[str, Any]:
        """As in ``report.json``, under the rate's name."""
        return {
            "n": self.n,
            name: self.value,
            "ci95": self.ci95 and list(self.ci95),
            "ci95_bootstrap": self.ci95_bootstrap and list(self.ci95_bootstrap),
        }


@dataclass(frozen=True)
class ShortcutGroup:
    """Images whose shortcut score lies in one interval, ``low <= score < high`` (the last holds 1 too)."""

    low: float
    high: float
    rates: Mapping[str, Rate]

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``: ``n``, and for each class its images and rate."""
        normal, ill = (self.rates[name] for name in LABEL_NAMES)
        return {
            "from": self.low,
            "to": self.high,
            "n": normal.n + ill.n,
            "specificity": normal.value,
            "sensitivity": ill.value,
            "normal": normal.to_json("specificity"),
            "pneumonia": ill.to_json("sensitivity"),
        }


@dataclass(frozen=True)
class ByShortcut:
    """A model's figures by what can be told without lungs.

    Attributes:
        groups: in ascending order of the score.
        worst: class and group of the lowest rate among those with at least :data:`FEWEST` images, or ``None``.
        scored: images that have a score.
        score_auc: AUC of the score itself on these images: what can be told of them without lungs.
        conflicting: the images whose score contradicts the label, by class.
        conflicting_auc: the model's AUC on those; ``None`` where a class is missing among the judged.
        conflicting_auc_ci95: DeLong's, or Newcombe's where that has no width.
        limit: score from which on it speaks for pneumonia.
        source: what made the score, in words.
    """

    groups: tuple[ShortcutGroup, ...]
    worst: tuple[str, ShortcutGroup] | None
    scored: int
    score_auc: float | None
    conflicting: Mapping[str, Rate]
    conflicting_auc: float | None
    conflicting_auc_ci95: Interval | None
    limit: float
    source: str

    def worst_json(self) -> dict[str, Any] | None:
        """The content of ``worst_group``."""
        if self.worst is None:
            return None
        label, group = self.worst
        rate = _RATES[LABEL_NAMES.index(label)]
        return {"label": label, "from": group.low, "to": group.high, **group.rates[label].to_json(rate)}

    def to_json(self) -> dict[str, Any]:
        """The content of ``shortcut``: what the score says of the images, and the model where it misleads."""
        return {
            "source": self.source,
            "n_scored": self.scored,
            "auc_without_lungs": self.score_auc,
            "limit": self.limit,
            "conflicting": {
                "n": sum(rate.n for rate in self.conflicting.values()),
                "auc": self.conflicting_auc,
                "auc_ci95": self.conflicting_auc_ci95 and list(self.conflicting_auc_ci95),
                **{
                    name.lower(): self.conflicting[name].to_json(rate)
                    for name, rate in zip(LABEL_NAMES, _RATES, strict=True)
                },
            },
        }


def by_shortcut(
    table: PredictionTable, threshold: float, resampling: bootstrap.Resampling, *, limit: float, source: str
) -> ByShortcut | None:
    """Take the figures apart by the table's shortcut scores; ``None`` where it has none.

    Args:
        table: predictions with scores, NaN where an image has none.
        threshold: pneumonia from this probability on.
        resampling: over the same images.
        limit: score from which on it speaks for pneumonia.
        source: what made the scores.
    """
    if table.shortcut is None or not np.isfinite(table.shortcut).any():
        return None
    scores, labels = table.shortcut, table.labels
    known = np.isfinite(scores)
    right = refusals_as_errors(labels, table.decisions(threshold)) == labels

    def rates(among: NDArray[np.bool_]) -> dict[str, Rate]:
        return {name: _rate(right, among & (labels == k), resampling) for k, name in enumerate(LABEL_NAMES)}

    groups = tuple(
        ShortcutGroup(low, high, rates((scores >= low) & ((scores < high) | (high == BINS[-1]))))
        for low, high in pairwise(BINS)
    )
    against = known & conflicting(np.where(known, scores, limit), labels, limit)
    auc, interval = _auc(labels, table.probabilities, against & table.judged)
    return ByShortcut(
        groups=groups,
        worst=_worst(groups),
        scored=int(known.sum()),
        score_auc=_auc(labels, scores, known)[0],
        conflicting=rates(against),
        conflicting_auc=auc,
        conflicting_auc_ci95=interval,
        limit=limit,
        source=source,
    )


def _rate(right: NDArray[np.bool_], among: NDArray[np.bool_], resampling: bootstrap.Resampling) -> Rate:
    n, hits = int(among.sum()), int((right & among).sum())
    boot = bootstrap.percentile_interval(resampling.proportion(right, among)) if n else None
    return Rate(n, hits / n if n else None, wilson(hits, n), boot)


def _worst(groups: tuple[ShortcutGroup, ...]) -> tuple[str, ShortcutGroup] | None:
    large = [(name, group) for group in groups for name, rate in group.rates.items() if rate.n >= FEWEST]
    # The larger one of equals.
    return min(large, key=lambda of: (of[1].rates[of[0]].value or 0.0, -of[1].rates[of[0]].n), default=None)


def _auc(
    labels: NDArray[np.int64], values: NDArray[np.float64], among: NDArray[np.bool_]
) -> tuple[float | None, Interval | None]:
    chosen = labels[among]
    if not len(chosen) or chosen.all() or not chosen.any():
        return None, None
    estimate = delong(chosen, values[among])
    auc = float(estimate.aucs[0])
    return auc, estimate.interval() or newcombe_auc(auc, estimate.positives, estimate.negatives)
