"""Why a part of ``report.json`` is ``null``: one reason for each, by its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pneumoscope.statistics.metrics import Metric, decision_estimates

if TYPE_CHECKING:
    from pneumoscope.evaluation.report import EvaluationReport

_NO_SUBTYPE: Final = "no image of this subtype"
_NOT_JUDGED: Final = "no image was judged"
_ONE_CLASS: Final = "the judged images are all of one class"


def reasons(report: EvaluationReport) -> dict[str, str]:
    """Reasons by dotted place, such as ``auc``, ``ci95.auc`` or ``three_class.bacterial_viral_auc``.

    ``comparison`` and ``explanations`` are ``null`` where they were not asked for, and ``shortcut`` and ``worst_group``
    where the table has no such scores; they need none.
    """
    found = dict(_of_metrics(report))
    found.update(_of_operating_points(report))
    found.update(_of_subtypes(report))
    found.update(_of_curves(report))
    found.update(_of_answers(report))
    found.update(_of_shortcut(report))
    place = "classification_report"
    found.update(dict.fromkeys(_nulls(report.classification_report, place), "nothing to divide by (zero_division)"))
    return found


def _of_shortcut(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    found = report.by_shortcut
    if found is None:
        return
    if found.worst is None:
        yield "worst_group", "no class has enough images in any group"
    groups = [group.to_json() for group in found.groups]
    for index, group in enumerate(groups):
        for place in _nulls(group, f"by_shortcut.{index}"):
            yield place, "no such image in this group"
    for place in _nulls(found.to_json(), "shortcut"):
        yield place, "one class or both are missing among these images"


def _of_metrics(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    for metric, result in report.metrics.items():
        for part, reason in result.undefined.items():
            yield metric.value if part == "value" else f"{part}.{metric}", reason
        if result.method is None:
            yield f"ci95_method.{metric}", result.undefined["ci95"]


def _of_operating_points(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    for name, point in report.by_operating_point.items():
        undefined: Mapping[Metric, str] = decision_estimates(point.counts).undefined
        for metric, reason in undefined.items():
            yield f"by_operating_point.{name}.{metric}", reason
            if metric in point.ci95:
                yield f"by_operating_point.{name}.ci95.{metric}", reason


def _of_subtypes(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    for name, result in report.per_subtype.items():
        parts = {"sensitivity": result.sensitivity, "ci95": result.ci95, "ci95_bootstrap": result.ci95_bootstrap}
        for part, value in parts.items():
            if value is None:
                reason = _NO_SUBTYPE if result.n == 0 else "undefined in more than half of the draws"
                yield f"per_subtype.{name}.{part}", reason
    table = report.table
    if report.three_class is None:
        if table.subtype_probabilities is None:
            yield "three_class", "the model does not tell subtypes"
        else:
            yield "three_class", "no judged image has a known subtype"
    elif report.three_class.bacterial_viral_auc is None:
        yield "three_class.bacterial_viral_auc", "the judged pneumonias are all of one subtype"


def _of_answers(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    content = report.answers.to_json()
    if content["likelihood_ratios"] is None:
        yield "answers.likelihood_ratios", "a class is missing among the images"
        return
    for place in _nulls(content["likelihood_ratios"], "answers.likelihood_ratios"):
        yield place, "infinite: no image is on the wrong side"
    for place in _nulls(content.get("prediction_sets", {}), "answers.prediction_sets"):
        yield place, "no image has such a set"


def _of_curves(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    judged = report.table.judged.any()
    if report.decision_curve is None:
        yield "decision_curve", _NOT_JUDGED
    if not report.reliability:
        yield "reliability", _NOT_JUDGED
    if not report.at_sensitivity:
        yield "at_sensitivity", _ONE_CLASS if judged else _NOT_JUDGED
    for wanted, result in report.at_sensitivity.items():
        if result.ci95_bootstrap is None:
            yield f"at_sensitivity.{wanted:.2f}.ci95_bootstrap", "undefined in more than half of the draws"


def _nulls(value: Any, place: str) -> Iterator[str]:
    """Places of every ``None`` in nested mappings and lists."""
    if value is None:
        yield place
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _nulls(part, f"{place}.{name}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _nulls(part, f"{place}.{number}")
