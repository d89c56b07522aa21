"""The model card (Mitchell et al. 2019, doi 10.1145/3287560.3287596), written from numbers that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pneumoscope.datasets.source import LabelledImage, origins_of
from pneumoscope.evaluation.report import EvaluationReport
from pneumoscope.export.parity import Parity
from pneumoscope.model import describe
from pneumoscope.model.contract import RESEARCH_USE_ONLY, Contract, Quantization
from pneumoscope.statistics.metrics import Metric

_SHOWN = (Metric.ACCURACY, Metric.AUC, Metric.SENSITIVITY, Metric.SPECIFICITY, Metric.MCC, Metric.ECE)

_LIMITS = """\
- Trained on the people named above and nobody else; a published check of such models of children on other hospitals'
  children fell to an AUC of 0.54.
- In the children's data the framing of a picture tells the classes apart. The network sees the box around the lungs
  alone and was trained on batches that balance framing in part; what is left of that shortcut shows in the figures on
  conflicting images.
- Many labels of the adults were mined from reports, and some of the conflicting images are mislabelled.
- Telling bacterial from viral is much less certain than telling pneumonia from normal.
- A heatmap shows what moved the score, not where the disease is.
- Side markers, tubes, collimation and borders can be taken for signs of disease."""

_NUMBERS = {
    Quantization.FLOAT32: "The graph computes in float32.",
    Quantization.FLOAT16: "The weights are stored as float16 and computed with as float32.",
    Quantization.DYNAMIC: (
        "Most of the weights are int8, one scale a channel, and their layers' activations are quantised while running; "
        "depthwise convolutions, first layers where 8 bits hurt, and the graph's ends compute in float32."
    ),
    Quantization.INT8: (
        "The network's weights (one scale a channel) and activations are int8. Image standardisation, classifier, "
        "calibration, heatmap and typicality stay in float32, because they do not survive 8 bits: this is no "
        "full-integer graph, and accelerators without float arithmetic cannot run all of it."
    ),
}


@dataclass(frozen=True)
class CardFacts:
    """What the card is written from.

    Attributes:
        contract: of the model.
        rows: manifest of its training run.
        reports: on out-of-fold scores, by group of images.
        parity: of the exported model with Keras.
    """

    contract: Contract
    rows: Sequence[LabelledImage]
    reports: Mapping[str, EvaluationReport]
    parity: Parity


def write_card(facts: CardFacts) -> str:
    """The card as Markdown; every figure comes from ``facts``."""
    contract = facts.contract
    origin = contract.provenance
    sections = (
        f"# {contract.name} {contract.version}",
        f"**{RESEARCH_USE_ONLY}**",
        f"{contract.intended_use} Input: one grey image, shrunk to {contract.input_width} x {contract.input_height} "
        f"pixels. {contract.parameters:,} parameters. {_NUMBERS[contract.quantization]}",
        "## Training",
        f"Recipe `{origin.recipe}`, seed {origin.seed}, weights after epoch {origin.epoch}. "
        f"Manifest {origin.manifest_sha256}.",
        _counts(facts.rows),
        f"## Patients that were held out, at the operating point `{contract.default_operating_point}`",
        _figures(facts.reports),
        "## Operating points",
        _table(*describe.operating_points(contract)),
        *_uncertain(contract),
        "## Parity with Keras",
        _parity(facts.parity),
        "## Refusal",
        f"An input of typicality below {contract.typicality_limit:.2f} is refused as not a frontal chest radiograph.",
        "## Limits",
        _LIMITS,
        "## Data",
        "\n".join(f"- {each.title}. {each.citation} Licence: {each.licence}." for each in origins_of(facts.rows)),
    )
    return "\n\n".join(sections) + "\n"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _counts(rows: Sequence[LabelledImage]) -> str:
    """Images by data set and subtype; every member of the network is trained on all folds but one."""
    count = Counter(
        ("" if row.origin is None else row.origin.title, row.subtype or "PNEUMONIA, unnamed agent") for row in rows
    )
    sources, kinds = (sorted({key[place] for key in count}) for place in (0, 1))
    lines = [[source or "not named", *(str(count[source, kind]) for kind in kinds)] for source in sources]
    return _table(["data set", *kinds], lines)


def _figures(reports: Mapping[str, EvaluationReport]) -> str:
    lines = []
    for metric in _SHOWN:
        cells = []
        for report in reports.values():
            result = report.metrics[metric]
            interval = result.ci95 or result.ci95_bootstrap
            value = "undefined" if result.value is None else f"{result.value:.3f}"
            cells.append(value if interval is None else f"{value} ({interval[0]:.3f} to {interval[1]:.3f})")
        lines.append([metric.value, *cells])
    titles = [f"{name} (n = {len(report.table)})" for name, report in reports.items()]
    return _table(["metric (95 % interval)", *titles], lines)


def _parity(parity: Parity) -> str:
    flips = ", ".join(f"{change.count} at `{name}`" for name, change in parity.flips.items())
    heatmaps = (
        ""
        if parity.heatmap_correlation is None
        else (f" Median correlation of heatmaps {parity.heatmap_correlation:.4f}.")
    )
    return (
        f"On {parity.n} validation radiographs the probability differs from that of the Keras network by "
        f"{parity.mean_difference:.2g} on average and {parity.largest_difference:.2g} at most. Decisions that change: "
        f"{flips}; refusals that change: {parity.refusals.count}.{heatmaps}"
    )


def _uncertain(contract: Contract) -> list[str]:
    found = describe.coverage(contract)
    return [] if found is None else ["## Where it does not know", describe.band_sentence(contract), _table(*found)]
