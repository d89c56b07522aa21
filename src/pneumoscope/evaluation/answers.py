"""What the answers are worth on these images: likelihood ratios, coverage of the prediction sets, labels needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.model.contract import ConformalBand
from pneumoscope.model.wording import share
from pneumoscope.statistics.conformal import (
    COVERAGE,
    Band,
    Coverage,
    images_to_check,
    images_to_notice,
    measure_coverage,
)
from pneumoscope.statistics.intervals import Interval, wilson
from pneumoscope.statistics.metrics import confusion
from pneumoscope.statistics.prevalence import DiagnosticValue, diagnostic_value
from pneumoscope.statistics.table import LABEL_NAMES, PredictionTable

HALF_WIDTHS: Final = (0.03, 0.05, 0.1)
FALLEN_TO: Final = 0.8


@dataclass(frozen=True)
class SetResult:
    """What the prediction sets do on these images; refused images have none and are not counted.

    Attributes:
        promised: coverage of each class, as the model's contract has it.
        by_class: by label; classes that are not there are left out.
        decided: judged images whose set holds one label, and of how many.
        decided_accuracy: share of them whose label is right, with its interval; ``None`` without any.
        undecided_accuracy: the same of those whose set holds both labels, decided by the threshold.
    """

    promised: float
    by_class: Mapping[str, Coverage]
    decided: tuple[int, int]
    decided_accuracy: tuple[float, Interval] | None
    undecided_accuracy: tuple[float, Interval] | None

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``."""
        return {
            "promised": self.promised,
            "by_class": {
                label: {
                    "n": found.n,
                    "coverage": found.coverage,
                    "ci95": list(found.ci95),
                    "uncertain": found.uncertain,
                    "kept": found.ci95[1] >= self.promised,
                }
                for label, found in self.by_class.items()
            },
            "decided": self.decided[0],
            "judged": self.decided[1],
            "decided_accuracy": _rate_json(self.decided_accuracy),
            "undecided_accuracy": _rate_json(self.undecided_accuracy),
        }


@dataclass(frozen=True)
class Answers:
    """What the answers are worth on these images.

    Attributes:
        diagnostic: likelihood ratios and post-test probabilities; ``None`` where a class is missing.
        sets: of the prediction sets; ``None`` for a model that gives none.
    """

    diagnostic: DiagnosticValue | None
    sets: SetResult | None

    def to_json(self) -> dict[str, Any]:
        """As in ``report.json``; without the member ``prediction_sets`` for a model that gives none."""
        content = {
            "likelihood_ratios": self.diagnostic and self.diagnostic.to_json(),
            "images_to_label": labels_needed(COVERAGE if self.sets is None else self.sets.promised),
        }
        return content if self.sets is None else content | {"prediction_sets": self.sets.to_json()}


def worth(table: PredictionTable, threshold: float, conformal: ConformalBand | None = None) -> Answers:
    """What answers are worth.

    Args:
        table: predictions with labels; refusals count as errors in the likelihood ratios.
        threshold: pneumonia from this probability on.
        conformal: band in which both labels stay open, of the model's contract; ``None`` for a model without one.
    """
    diagnostic = diagnostic_value(confusion(table.labels, table.decisions(threshold)))
    judged = table.judged
    if conformal is None or not judged.any():
        return Answers(diagnostic, None)
    return Answers(diagnostic, _sets(table.labels[judged], table.probabilities[judged], threshold, conformal))


def _sets(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], threshold: float, conformal: ConformalBand
) -> SetResult:
    band = Band(conformal.lower, conformal.upper)
    found = {name: measure_coverage(labels, probabilities, band, label) for label, name in enumerate(LABEL_NAMES)}
    normal, pneumonia = band.open_labels(probabilities)
    both = normal & pneumonia
    right = (probabilities >= threshold) == (labels == 1)
    return SetResult(
        promised=conformal.coverage,
        by_class={name: coverage for name, coverage in found.items() if coverage is not None},
        decided=(int((~both).sum()), len(labels)),
        decided_accuracy=_rate(right[~both]),
        undecided_accuracy=_rate(right[both]),
    )


def labels_needed(coverage: float) -> dict[str, Any]:
    """How many labelled images of each class a site needs to check a coverage.

    Args:
        coverage: that is promised.

    Returns:
        ``within``: images by half-width of the 95 % interval; ``to_notice``: images that show, with a chance of 80 %,
        that the coverage has fallen to 0.8.
    """
    return {
        "coverage": coverage,
        "within": {f"{width:g}": images_to_check(coverage, width) for width in HALF_WIDTHS},
        "to_notice": {f"{FALLEN_TO:g}": images_to_notice(coverage, FALLEN_TO)},
    }


def lines(answers: Answers) -> list[str]:
    """The same for a terminal."""
    told = []
    if answers.diagnostic is not None:
        for name, ratio in (("above", answers.diagnostic.positive), ("below", answers.diagnostic.negative)):
            interval = "" if ratio.ci95 is None else f" ({ratio.ci95[0]:.3g} to {ratio.ci95[1]:.3g})"
            told.append(f"likelihood ratio of a score {name} the operating point  {ratio.value:.3g}{interval}")
    coverage = COVERAGE
    if answers.sets is None:
        told.append("this model gives no prediction sets: `pneumoscope calibrate` makes one that does")
    else:
        coverage = answers.sets.promised
        for label, found in answers.sets.by_class.items():
            kept = "" if found.ci95[1] >= coverage else ", the promise is not kept here"
            told.append(
                f"coverage of {label}  {share(found.coverage)} ({share(found.ci95[0])} to {share(found.ci95[1])}) of "
                f"{found.n}, promised {share(coverage)}; uncertain {share(found.uncertain)}{kept}"
            )
        decided, judged = answers.sets.decided
        told.append(f"decided  {decided} of {judged}{_told(answers.sets.decided_accuracy)}")
    needed = labels_needed(coverage)
    widths = ", ".join(f"{n} for +- {float(width):.0%}" for width, n in needed["within"].items())
    notice = needed["to_notice"][f"{FALLEN_TO:g}"]
    told.append(
        f"to check a coverage of {share(coverage)}, label of each class: {widths}; {notice} to notice (4 times "
        f"in 5) that it has fallen to {share(FALLEN_TO)}"
    )
    return told


def _told(rate: tuple[float, Interval] | None) -> str:
    if rate is None:
        return ""
    value, (low, high) = rate
    return f", {share(value)} of them rightly ({share(low)} to {share(high)})"


def _rate(right: NDArray[np.bool_]) -> tuple[float, Interval] | None:
    interval = wilson(int(right.sum()), len(right))
    return None if interval is None else (float(right.mean()), interval)


def _rate_json(rate: tuple[float, Interval] | None) -> dict[str, Any] | None:
    return None if rate is None else {"value": rate[0], "ci95": list(rate[1])}
