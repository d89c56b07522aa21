"""Two samples of records compared: what differs, by how much, and how sure that is.

The chance to raise an alarm although nothing has changed is at most the stated one: every test's p-value is exact or
conservative under no change (Kolmogorov and Smirnov's for numbers, with ties on the safe side; Fisher's exact for
shares), and Holm's method holds the chance over all of them (Holm, Scand J Stat 1979). With very many records the
smallest difference is significant, so an alarm also needs one that matters. Records count as independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError
from pneumoscope.labels import Status
from pneumoscope.monitoring.records import Feature, Sample

FALSE_ALARMS: Final = 0.01
LEAST_DISTANCE: Final = 0.05
"""Largest gap between two distributions (Kolmogorov's D) below which a difference does not matter."""
LEAST_DIFFERENCE: Final = 0.02
"""Difference of two shares below which it does not matter."""
LEAST_RECORDS: Final = 20
KINDS: Final = 20
"""Kinds of notes and reasons that are compared, the most frequent ones."""
_EXACT: Final = 1000  # records up to which Kolmogorov and Smirnov's exact distribution is computed


@dataclass(frozen=True)
class Change:
    """One thing that was compared.

    Attributes:
        name: what.
        baseline: its median, or its share.
        now: likewise.
        effect: Kolmogorov's D of two distributions, or the difference of two shares (now less baseline).
        p_value: adjusted for the number of things compared (Holm).
        is_share: whether it is a share.
        n_baseline: records that have it.
        n_now: likewise.
        drifted: whether it differs by what matters, and not by chance.
    """

    name: str
    baseline: float
    now: float
    effect: float
    p_value: float
    is_share: bool
    n_baseline: int
    n_now: int
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """The comparison of two samples.

    Attributes:
        changes: everything that was compared, the surest difference first.
        false_alarms: chance of an alarm where nothing has changed, at most.
        left_out: what could not be compared, and why.
    """

    changes: tuple[Change, ...]
    false_alarms: float
    left_out: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether anything drifted."""
        return any(change.drifted for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "drift": self.found,
            "false_alarms": self.false_alarms,
            "least_distance": LEAST_DISTANCE,
            "least_difference": LEAST_DIFFERENCE,
            "changes": [vars(change) for change in self.changes],
            "left_out": list(self.left_out),
        }


def check_same_model(baseline: Sample, now: Sample) -> str | None:
    """The model that both name; ``None`` where one of them names none.

    Raises:
        DataError: they name different ones.
    """
    if not (baseline.models and now.models):
        return None
    (then,), (today,) = baseline.models, now.models
    if then != today:
        told = [f"{name} {version} ({sha[:12]})" for name, version, sha in (then, today)]
        raise DataError(
            f"{baseline.file} is of {told[0]} and {now.file} of {told[1]}; scores of two models cannot be compared: "
            "make a baseline with the model of the records"
        )
    return f"{today[0]} {today[1]}"


def compare(baseline: Sample, now: Sample, false_alarms: float = FALSE_ALARMS) -> Drift:
    """Compare records with a reference.

    Args:
        baseline: the reference.
        now: what came in since.
        false_alarms: chance of an alarm where nothing has changed, at most; strictly between 0 and 1.

    Raises:
        DataError: one of them is too small to be compared.
    """
    for sample in (baseline, now):
        if sample.n < LEAST_RECORDS:
            raise DataError(f"{sample.file}: {sample.n} records, at least {LEAST_RECORDS} are needed to compare")
    raw: list[tuple[str, float, float, float, float, bool, int, int]] = []
    left_out = []
    for feature in Feature:
        values = baseline.values(feature), now.values(feature)
        if min(map(len, values)) >= LEAST_RECORDS:
            raw.append((feature.value, *_distance(*values), False, len(values[0]), len(values[1])))
        elif len(values[0]) or len(values[1]):
            left_out.append(f"{feature}: {len(values[0])} and {len(values[1])} records have it, too few to compare")
    for name, hits in _shares(baseline, now):
        raw.append((name, *_difference(hits, (baseline.n, now.n)), True, baseline.n, now.n))
    adjusted = holm([row[4] for row in raw])
    changes = [
        Change(
            name, then, today, effect, p, is_share, n_then, n_today,
            drifted=p < false_alarms and abs(effect) >= (LEAST_DIFFERENCE if is_share else LEAST_DISTANCE),
        )
        for (name, then, today, effect, _, is_share, n_then, n_today), p in zip(raw, adjusted, strict=True)
    ]  # fmt: skip
    return Drift(tuple(sorted(changes, key=lambda change: change.p_value)), false_alarms, tuple(left_out))


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: below ``a`` with a chance of at most ``a`` over all true nulls."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def smallest_distance(n_baseline: int, n_now: int, tests: int, false_alarms: float = FALSE_ALARMS) -> float:
    """Kolmogorov's D from which two samples of these sizes differ surely: what a comparison can see at all.

    Args:
        n_baseline: records.
        n_now: records.
        tests: things compared.
        false_alarms: over all of them.
    """
    quantile = float(np.sqrt(-np.log(false_alarms / tests / 2) / 2))
    return max(LEAST_DISTANCE, quantile * float(np.sqrt((n_baseline + n_now) / (n_baseline * n_now))))


def _distance(then: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float, float, float]:
    from scipy.stats import ks_2samp

    found = ks_2samp(then, now, method="exact" if max(len(then), len(now)) <= _EXACT else "asymp")
    return float(np.median(then)), float(np.median(now)), float(found.statistic), float(found.pvalue)


def _shares(baseline: Sample, now: Sample) -> list[tuple[str, tuple[int, int]]]:
    names = {Status.REFUSED: "refused", Status.ERROR: "unreadable"}
    shares = [(name, (baseline.statuses[status], now.statuses[status])) for status, name in names.items()]
    together = baseline.kinds + now.kinds
    kinds = [(kind, (baseline.kinds[kind], now.kinds[kind])) for kind, _ in together.most_common(KINDS)]
    return [*shares, *((f"says: {kind}", counts) for kind, counts in kinds)]


def _difference(hits: tuple[int, int], sizes: tuple[int, int]) -> tuple[float, float, float, float]:
    from scipy.stats import fisher_exact

    then, now = hits[0] / sizes[0], hits[1] / sizes[1]
    table = [[hits[0], sizes[0] - hits[0]], [hits[1], sizes[1] - hits[1]]]
    return then, now, now - then, float(fisher_exact(table).pvalue)
