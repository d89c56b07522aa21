"""Writes docs/model-card.md from the contracts of the shipped models and the JSON under reports/.

python tools/model_card.py            rewrite it
python tools/model_card.py --check    fail if it is not what the JSON says

The headings are those of Mitchell et al. 2019 (doi 10.1145/3287560.3287596); the items at the end are those of CLAIM
(doi 10.1148/ryai.2020200029) and TRIPOD+AI (doi 10.1136/bmj-2023-078378) that apply without a clinical study.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import held_out
from figures import REPORTS, ROOT, SHORTCUT_COLUMNS, read_json, shortcut_lines, table, with_interval

from pneumoscope.model import describe
from pneumoscope.model.contract import RESEARCH_USE_ONLY, Contract
from pneumoscope.model.packaging import read_package

CARD = ROOT / "docs" / "model-card.md"
SHIPPED = (ROOT / "src" / "pneumoscope" / "models", ROOT / "models")

_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "positive predictive value",
    "npv": "negative predictive value",
    "mcc": "Matthews correlation",
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score (less is better)",
    "ece": "calibration error (less is better)",
}

_USE = """\
**For:** research on classification, calibration, explanation and on-device inference; teaching. **Users:**
researchers and developers. **Not for:** care of any kind, other views, other
findings, telling bacterial from viral pneumonia ([limits and ethics](limits.md))."""

_FACTORS = """\
Relevant and **not recorded in the data**: sex, origin, equipment, severity, other illness, and the children's exact
age. So no figure is broken down by them. Broken down by: children and adults, framing that contradicts the label
(conflicting images), agent (from the file name), operating point."""

_METRICS_TEXT = """\
Accuracy alone misleads where three of four images are pneumonias, so sensitivity and specificity stand beside it.
Every figure is of images whose patients the scoring network was not trained on; calibration and thresholds were fitted
on these same scores, weighted so that framing tells nothing. 95 % intervals in brackets: Wilson (proportions), DeLong
(AUC), bootstrap over patients (the others). Refused images count as errors where the report says so."""

_ETHICS = """\
Images of children, published without names under CC BY 4.0; consent to this use is unknown to us. A wrong "normal"
could delay care and a wrong "pneumonia" lead to needless antibiotics, therefore: no clinical use. More in
[limits and ethics](limits.md) and the [data sheet](data-sheet.md)."""

_HELD_OUT = """\
Version 1, scored once from outside on the official test split, which the project does not hold (2026-11-25):

{test}

{others}

Its validations had promised far more, because they reward reading how a child is framed instead of the lungs
([held out](held-out.md)). The official test split was read for version 1 and for trials that version 2's design
followed, so it is no longer a test that chose nothing. Models that do not stand in the table have no held-out figure
yet."""

_CAVEATS = """\
- Random patients of this data rank networks by how well they read framing, so their figures promise too much;
  conflicting images promise too little, since some of their labels are wrong. The official test split is scored from
  outside, once a release.
- One hospital each for children and adults. Published models of this kind fell to an AUC of 0.54 on other hospitals'
  children.
- The box around the lungs takes the picture's framing away, not the sharpness that depends on how large they were.
- The [heatmap](explanations.md) shows what moved the score, not where the disease is.
- Validate on your own patients before any study, and choose the threshold there."""

_ITEMS = (
    ("Title, intended use (CLAIM 1, TRIPOD+AI 1, 3)", "stated above"),
    ("Source and dates of data (CLAIM 7, TRIPOD+AI 5)", "[data sheet](data-sheet.md); dates unknown"),
    ("Eligibility, selection (CLAIM 8, TRIPOD+AI 6)", "by the data's makers; how they drew is unknown"),
    ("Preprocessing (CLAIM 9, TRIPOD+AI 7)", "[shrinking](shrinking.md), in the contract"),
    ("Missing data (CLAIM 13, TRIPOD+AI 11)", "no image is without a label; covariates were never recorded"),
    ("Reference standard (CLAIM 14-18, TRIPOD+AI 8)", "readers' label; agreement between readers unknown"),
    ("Sample size (CLAIM 19, TRIPOD+AI 10)", "all there is; intervals show what it is enough for"),
    ("Partitions, disjoint by patient (CLAIM 20, 21)", "[method](method.md); manifest hash above"),
    (
        "Model, initialisation, training (CLAIM 22-27, TRIPOD+AI 12)",
        "[training](training.md), [experiments](experiments.md)",
    ),
    ("Metrics, uncertainty (CLAIM 28, 29, TRIPOD+AI 12)", "above, with intervals"),
    ("Robustness, sensitivity analysis (CLAIM 30)", "[explanations](explanations.md), shortcut checks"),
    ("Explainability (CLAIM 31)", "[tested](explanations.md)"),
    ("External validation (CLAIM 32)", "**not done**"),
    ("Demographics of each partition (CLAIM 34, TRIPOD+AI 20)", "**not possible**: not recorded"),
    ("Failure analysis (CLAIM 37)", "worst errors in each evaluation's page"),
    ("Fairness (TRIPOD+AI 3, 14)", "**not possible**: not recorded"),
    ("Limits (CLAIM 38, TRIPOD+AI 26)", "[limits and ethics](limits.md)"),
    ("Class imbalance (TRIPOD+AI 13)", "classes drawn alike, probabilities at a prevalence of 50 %"),
    ("Code, model, data available (TRIPOD+AI 18)", "all three, open licences"),
    ("Patients' involvement (TRIPOD+AI 19)", "none"),
)


def model_sections(file: Path) -> list[str]:
    """Everything about one shipped model."""
    contract = read_package(file).contract
    reports = reports_of(contract)
    origin = contract.provenance
    details = [
        ["name, version", f"`{contract.name}` {contract.version}"],
        ["type", f"convolutional network, {contract.parameters:,} parameters, {contract.quantization} graph"],
        ["population", _population(contract)],
        ["input", f"one grey image, {contract.input_width} x {contract.input_height}, {contract.resize_filter}"],
        ["outputs", "calibrated P(pneumonia), heatmap, typicality" + (", subtype" if contract.subtypes else "")],
        ["training", f"recipe `{origin.recipe}`, seed {origin.seed}, epoch {origin.epoch}"],
        ["training manifest", f"`{origin.manifest_sha256[:16]}…`"],
        ["software", ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))],
        ["licence", "Apache-2.0; data: see the data sheet"],
    ]
    return [
        f"## {contract.name} {contract.version}",
        "### Model details",
        table(["what", "of this model"], details),
        "### Quantitative analyses",
        f"At the operating point `{contract.default_operating_point}`:",
        _figures(reports),
        "By operating point:",
        table(*describe.operating_points(contract)),
        *_uncertain(contract),
        "By agent; specificity is that of the table above:",
        _subtypes(reports),
        *_by_shortcut(reports),
        *_three_classes(reports),
    ]


def _population(contract: Contract) -> str:
    """Whom the training data show, in the contract's words."""
    people = contract.population
    if people is None:
        return "children of one to five years, one hospital (Guangzhou); the file itself does not say"
    ages = "; ".join(f"{first} to {last} years" for first, last in people.ages)
    return people.description + (f" (ages {ages})" if ages else "")


def reports_of(contract: Contract) -> dict[str, Any]:
    """The reports on held-out patients of this very model: same name, version and threshold, to the last digit.

    Raises:
        SystemExit: there is none; export the model's run into ``reports/``.
    """
    _, point = contract.operating_point()
    for file in sorted(REPORTS.glob("*/out-of-fold.json")):
        found: dict[str, Any] = read_json(file)
        wanted = (contract.name, contract.version, point.threshold)
        if all((r["model"]["name"], r["model"]["version"], r["threshold"]) == wanted for r in found.values()):
            return found
    sys.exit(
        f"{contract.name} {contract.version}: no report under {REPORTS.name}/ is of this model; export its run there"
    )


def _figures(reports: dict[str, Any]) -> str:
    header = ["figure (95 % interval)", *(f"{role}, n = {report['n']}" for role, report in reports.items())]
    return table(
        header,
        [[title, *(with_interval(report, key) for report in reports.values())] for key, title in _METRICS.items()],
    )


def _uncertain(contract: Contract) -> list[str]:
    found = describe.coverage(contract)
    return [] if found is None else ["Where it does not know:", describe.band_sentence(contract), table(*found)]


def _subtypes(reports: dict[str, Any]) -> str:
    lines = []
    for role, report in reports.items():
        for name, result in report["per_subtype"].items():
            if result["ci95"] is None:  # the group has no images of this agent
                continue
            low, high = result["ci95"]
            lines.append([role, name, str(result["n"]), f"{result['sensitivity']:.3f} ({low:.3f} to {high:.3f})"])
    return table(["validation", "agent", "images", "sensitivity"], lines)


def _by_shortcut(reports: dict[str, Any]) -> list[str]:
    """The figures by what can be told without lungs, of the groups of images that have that score."""
    found = {
        role: report for role, report in reports.items() if report.get("by_shortcut") and "conflicting" not in role
    }
    lines = [line for role, report in found.items() for line in shortcut_lines(role, report)]
    if not lines:
        return []
    score = "[the shortcut score](data.md#what-can-be-told-without-lungs)"
    said = f"By what can be told without lungs ({score}), and the worst group:"
    return [said, table(["validation", *SHORTCUT_COLUMNS], lines)]


def _three_classes(reports: dict[str, Any]) -> list[str]:
    lines = []
    for role, report in reports.items():
        if told := report["three_class"]:
            low, high = told["ci95"]
            auc = told["bacterial_viral_auc"]
            accuracy = f"{told['accuracy']:.3f} ({low:.3f} to {high:.3f})"
            lines.append([role, accuracy, "undefined" if auc is None else f"{auc:.3f}"])
    if not lines:
        return []
    return ["Three classes:", table(["validation", "accuracy", "AUC, bacterial against viral"], lines)]


def card() -> str:
    """The whole page."""
    sections = [
        "# Model card",
        f"**{RESEARCH_USE_ONLY}** Every figure on this page is written by `python tools/model_card.py` from the "
        "models' own contracts and `reports/`. Each model file also carries a card: `pneumoscope models show`.",
        "## On data that the makers could not see",
        _HELD_OUT.format(test=table(*held_out.headline()), others=table(*held_out.others())),
        "## Intended use",
        _USE,
        "## Factors",
        _FACTORS,
        "## Metrics",
        _METRICS_TEXT,
        "## Training and evaluation data",
        "Kermany et al., [data](data.md) and [data sheet](data-sheet.md); [how it is split](method.md).",
    ]
    seen = set()
    for file in (file for folder in SHIPPED for file in sorted(folder.glob("*.tflite"))):
        package = read_package(file)
        if package.sha256 not in seen:  # the built-in model may lie in models/ too
            seen.add(package.sha256)
            sections += model_sections(file)
    sections += [
        "## Ethical considerations",
        _ETHICS,
        "## Caveats and recommendations",
        _CAVEATS,
        "## Reporting guidelines",
        "Items of CLAIM (doi 10.1148/ryai.2020200029) and TRIPOD+AI (doi 10.1136/bmj-2023-078378) that apply here:",
        table(["item", "where"], [list(item) for item in _ITEMS]),
    ]
    return "\n\n".join(sections) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check."""
    wanted = card()
    if "--check" in arguments:
        if not CARD.exists() or CARD.read_text("utf-8") != wanted:
            print(f"{CARD.name}: not what the JSON says; run python tools/model_card.py", file=sys.stderr)
            return 1
        return 0
    CARD.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
