"""Writes every figure that README.md, docs/ and the recipes quote from the JSON that commands wrote.

python tools/figures.py            rewrite the blocks between the markers
python tools/figures.py --check    fail if a block is not what the JSON says
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import export_tables
import held_out
import lung_figures
import meaning

from pneumoscope.statistics.intervals import newcombe_auc

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
BENCHMARKS = ROOT / "benchmarks" / "results"
RECIPES = ROOT / "src" / "pneumoscope" / "training" / "recipes"

_METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ece": "calibration error (ECE)",
}
_CHECKS = {
    "insertion": "insertion, log odds (more is better)",
    "deletion": "deletion, log odds (less is better)",
    "lung_share": "heat in the lungs",
    "stability": "likeness after a shift",
}
_EXPECTED = "# Expected: "


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *lines))


def with_interval(report: dict[str, Any], metric: str) -> str:
    """A figure with its 95 % interval."""
    value = report[metric]
    interval = report["ci95"].get(metric) or report["ci95_bootstrap"].get(metric)
    if value is None or interval is None:
        return "undefined"
    return with_bounds(value, interval)


def with_bounds(value: float, bounds: Sequence[float], form: str = ".3f") -> str:
    """A number with its 95 % interval."""
    low, high = bounds
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def model_figures() -> str:
    """Every model under ``reports/``, on patients that the scoring network was not trained on."""
    lines = []
    for file in sorted(REPORTS.glob("*/out-of-fold.json")):
        for group, report in read_json(file).items():
            name = f"`{report['model']['name']}` {report['model']['version']}, {group}, n = {report['n']}"
            lines.append([name, *(with_interval(report, metric) for metric in _METRICS)])
    return table(["model, images held out", *_METRICS.values()], lines)


def by_shortcut_figures() -> str:
    """Every model under ``reports/`` on held-out children, by what can be told of them without lungs."""
    lines = []
    for file in sorted(REPORTS.glob("*/out-of-fold.json")):
        for report in read_json(file).values():
            if not report["by_shortcut"] or "conflicting" in report["split"]:
                continue
            lines.extend(shortcut_lines(f"`{report['model']['name']}`", report))
    return table(["model", *SHORTCUT_COLUMNS], lines)


SHORTCUT_COLUMNS = ["score without lungs", "normals", "specificity", "pneumonias", "sensitivity"]


def shortcut_lines(name: str, report: dict[str, Any]) -> list[list[str]]:
    """A line for each group of a report, the images that contradict their label, and the worst group."""
    against = report["shortcut"]["conflicting"]
    groups = [(f"{group['from']:g} to {group['to']:g}", group) for group in report["by_shortcut"]]
    lines = [
        [
            name,
            title,
            f"{group['normal']['n']:,}",
            _rate(group["normal"], "specificity"),
            f"{group['pneumonia']['n']:,}",
            _rate(group["pneumonia"], "sensitivity"),
        ]
        for title, group in (*groups, ("contradicts the label", against))
    ]
    worst = report["worst_group"]
    if worst:
        where = f"worst: {worst['label']}, {worst['from']:g} to {worst['to']:g}"
        which = "sensitivity" if "sensitivity" in worst else "specificity"
        cells, blank = [str(worst["n"]), _rate(worst, which)], ["", ""]
        lines.append([name, where, *([*blank, *cells] if which == "sensitivity" else [*cells, *blank])])
    return lines


def _rate(of: dict[str, Any], name: str) -> str:
    return "" if of[name] is None else with_bounds(of[name], of["ci95"])


def speed_figures() -> str:
    """The benchmarks' headline ratios; each script says which figure that is."""
    lines: list[list[str]] = []
    for file in sorted(BENCHMARKS.glob("*.json")):
        result = read_json(file)
        lines.extend([line["what"], line["measured"], line["goal"]] for line in result["headline"])
    return table(["benchmark", "measured", "goal"], lines)


def read_run(folder: Path) -> dict[str, Any]:
    """A run's epochs, its AUC on held-out patients after the last one and its hours, from its ``log.csv``."""
    with (folder / "log.csv").open(newline="", encoding="utf-8") as stream:
        log = list(csv.DictReader(stream))
    hours = sum(float(row["seconds"]) for row in log) / 3600
    return {"epochs": len(log), "auc": float(log[-1]["grouped_auc"]), "hours": hours}


def training_figures() -> str:
    """Every training run under ``reports/``; all members of a recipe together."""
    lines = []
    for file in sorted(REPORTS.glob("*/log.csv")):
        run = read_run(file.parent)
        lines.append([f"`{file.parent.name}`", str(run["epochs"]), f"{run['auc']:.4f}", f"{run['hours']:.1f}"])
    return table(
        ["run", "epochs", "AUC, children and adults held out (mean of the members)", "hours on one core"], lines
    )


def trial_figures() -> str:
    """Short trainings on one fold, that the recipe was chosen by."""
    lines = [
        [line["variant"], *(f"{line[key]:.4f}" for key in ("rsna", "adults", "conflicting", "framing", "random"))]
        for line in read_json(REPORTS / "trials.json")["variants"]
    ]
    header = ["variant", "AUC adults, RSNA", "AUC adults", "AUC conflicting", "correlation with framing", "AUC random"]
    return table(header, lines)


def with_expectation(recipe: Path) -> str:
    """The recipe's text with the line that says what its run took and reached, as its log has it."""
    lines = recipe.read_text("utf-8").splitlines()
    folder = REPORTS / recipe.stem
    if (folder / "log.csv").exists():
        run = read_run(folder)
        minutes = max(1, round(60 * run["hours"]))
        lines = [line for line in lines if not line.startswith(_EXPECTED)]
        heading = next(index for index, line in enumerate(lines) if line == "#")
        lines.insert(heading, f"{_EXPECTED}{minutes} minutes of one core; AUC {run['auc']:.3f} on patients held out.")
    return "\n".join(lines) + "\n"


def data_figures() -> str:
    """What the audit counted."""
    audit = read_json(REPORTS / "data-audit.json")
    lines = [
        [
            count["split"],
            count["label"],
            f"{count['images']:,}",
            f"{count['patients_person']:,}",
            f"{count['patients_agent']:,}",
            ", ".join(f"{number:,} {name}" for name, number in count["subtypes"].items()),
        ]
        for count in audit["counts"]
    ]
    header = ["split", "class", "images", "patients by number", "patients by number and agent", "subtypes"]
    across = sum(pair["across_patients"] for pair in audit["near_duplicates"])
    found = [
        ["Leaks between splits or labels", len(audit["leaks"])],
        ["Patient numbers under both agents", sum(audit["numbers_under_both_agents"].values())],
        ["Groups of byte-identical files", len(audit["byte_duplicates"])],
        [
            "Pairs that look alike and differ in bytes",
            f"{len(audit['near_duplicates'])} ({across} of different patients)",
        ],
        ["Unreadable files", len(audit["unreadable"])],
        ["Names that carry no patient", len(audit["unparsed_names"])],
    ]
    return f"{table(header, lines)}\n\n{table(['question', 'answer'], [[a, str(b)] for a, b in found])}"


def without_lungs_figures() -> str:
    """What the audits say can be told without lungs."""
    lines = []
    for name, title in (
        ("data-audit.json", "train and val, 224 x 224"),
        ("data-audit-native.json", "sample, native size"),
    ):
        found = read_json(REPORTS / name).get("without_lungs")
        if found is None:  # an audit of before there was the score
            continue
        against = [conflict["label"] for conflict in found["conflicting"]]
        lines.append(
            [
                f"{title}, {found['images']:,} images of {found['patients']:,} patients",
                with_bounds(found["auc"], found["auc_ci95"]),
                f"{found['auc_outline']:.3f}",
                f"{found['auc_box']:.3f}",
                f"{against.count('NORMAL')} normals, {against.count('PNEUMONIA')} pneumonias",
                str(len(found["no_lungs_found"])),
            ]
        )
    header = [
        "images",
        "AUC without lungs",
        "by their outline alone",
        "by their box alone",
        "conflicting",
        "no lungs found",
    ]
    return table(header, lines)


def shortcut_figures() -> str:
    """How well one number that is no anatomy tells the classes of the training images apart."""
    audits = [read_json(REPORTS / name) for name in ("data-audit.json", "data-audit-native.json")]
    meaning = audits[0]["statistics_meaning"]
    columns = []
    for audit in audits:
        counts = {c["label"]: c["images"] for c in audit["counts"] if c["split"] == "train"}
        aucs = audit["shortcut_auc"]["train"]
        sizes = counts["PNEUMONIA"], counts["NORMAL"]
        columns.append({name: with_bounds(auc, newcombe_auc(auc, *sizes)) for name, auc in aucs.items()})
    by_auc = sorted(columns[0], key=audits[0]["shortcut_auc"]["train"].__getitem__, reverse=True)
    lines = [[name.replace("_", " "), *(column[name] for column in columns), meaning[name]] for name in by_auc]
    return table(["number", "AUC at 224 x 224", "AUC at native size", "what it is"], lines)


def backend_figures() -> str:
    """Seconds a training step of each network on each Keras backend."""
    seconds = read_json(BENCHMARKS / "backends.json")["seconds_a_step"]
    backends = list(next(iter(seconds.values())))
    lines = [[f"`{recipe}`", *(f"{of[backend]:.1f}" for backend in backends)] for recipe, of in seconds.items()]
    return table(["seconds a step", *backends], lines)


def robustness_figures() -> str:
    """Accuracy after each change of a sample of radiographs, model by model, and what it cost."""
    models = shortcut_reports()
    lines = []
    for checks in zip(*(report["checks"] for report in models.values()), strict=True):
        cells = [f"{check['accuracy']:.3f} ({check['accuracy_change']:+.3f})" for check in checks]
        lines.append([checks[0]["change"], *cells])
    return table(["change", *(f"`{name}`" for name in models)], lines)


def aspect_figures() -> str:
    """AUC on a sample when each class is squashed less or more than it is."""
    ways = {
        "auc_pneumonia_stretched": "pneumonia stretched, normal squeezed",
        "auc_normal_stretched": "normal stretched, pneumonia squeezed",
    }
    lines = []
    for name, report in shortcut_reports().items():
        aspect = report["aspect"]
        cells = [with_bounds(aspect["auc"], aspect["auc_ci95"], ".4f")]
        for way in ways:
            cells.append(with_bounds(aspect[way], aspect[f"{way}_ci95"], ".4f"))
            cells.append(with_bounds(aspect[f"{way}_change"], aspect[f"{way}_change_ci95"], "+.4f"))
        lines.append([f"`{name}`", *cells])
    header = [cell for way in ways.values() for cell in (way, "change")]
    return table(["model", "as they are", *header], lines)


def shortcut_reports() -> dict[str, Any]:
    """What the shortcut checks wrote, by model."""
    files = sorted(REPORTS.glob("*/sample/shortcuts.json"))
    return {file.relative_to(REPORTS).parts[0]: read_json(file) for file in files}


def adults_figures() -> str:
    """Every model on adults held out by patient, by how their label is known."""
    lines = []
    for file in sorted(REPORTS.glob("*/adults-held-out.json")):
        found = read_json(file)
        rsna, without = found["rsna"], found["without_finding"]
        rates = [with_bounds(rate["value"], rate["ci95"]) for rate in (rsna["sensitivity"], rsna["specificity"])]
        lines.append(
            [
                f"`{found['model']}`",
                f"{rsna['opacity']} and {rsna['normal']}",
                with_bounds(rsna["auc"], rsna["auc_ci95"]),
                *rates,
                str(without["n"]),
                with_bounds(without["specificity"]["value"], without["specificity"]["ci95"]),
            ]
        )
    header = [
        "model",
        "RSNA: opacity, normal",
        "AUC",
        "sensitivity",
        "specificity",
        "without finding",
        "specificity there",
    ]
    return table(header, lines)


def exchange_figures() -> str:
    """The exchange test of every model, and of the built-in model of version 1."""
    found = shortcut_reports() | {"pair 1.2.0 (version 1)": read_json(REPORTS / "held-out" / "v1-exchange.json")}
    lines = [
        [
            f"`{name}`",
            result["partner"],
            str(result["images"]),
            f"{result['mean_probability_change']:.3f}",
            f"{result['flips']}, {with_bounds(result['flips'] / result['images'], result['flips_ci95'])}",
            "yes" if result["passed"] else "**no**",
        ]
        for name, report in found.items()
        for result in report["exchange"]["results"]
    ]
    header = ["model", "surroundings of", "images", "mean change of P", "decisions that changed, share", "passed"]
    return table(header, lines)


def explanation_figures() -> str:
    """The tests of every model's heatmaps on a sample."""
    lines = []
    for file in sorted(REPORTS.glob("*/sample/explanations.json")):
        report = read_json(file)
        tests = report["explanations"]
        for heatmap, checks in (tests or {}).get("heatmaps", {}).items():
            lines.append(
                [f"`{report['model']['name']}`", heatmap, str(tests["n"])]
                + [mean_with_interval(checks.get(check)) for check in _CHECKS]
            )
    header = ["model", "heatmap", "images", *(_CHECKS.values())]
    return table(header, lines) if lines else "Not measured yet for the shipped model."


def mean_with_interval(estimate: dict[str, Any] | None) -> str:
    """A mean over images with its 95 % interval; empty where a check does not apply."""
    if estimate is None or estimate["mean"] is None:
        return ""
    interval = estimate["ci95"]
    return f"{estimate['mean']:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def _made(make: Callable[[], tuple[list[str], list[list[str]]]]) -> str:
    return table(*make())


def device_figures() -> str:
    """How the page's engine agrees with Python, by group of files."""
    report = read_json(REPORTS / "device-agreement.json")
    header = ["files", "n", "same pixels", "same status and label", "same reasons", "same notes", "largest difference"]
    lines = []
    for name, group in report["groups"].items():
        answers = min(group["same_status"], group["same_label"])
        shares = (group["same_pixels"], answers, group["same_reasons"], group["same_notes"])
        largest = group["largest_difference"]
        lines.append([name, str(group["n"]), *map(str, shares), "" if largest is None else f"{largest:.1g}"])
    model = report["model"]
    return f"{table(header, lines)}\n\nModel {model['name']} {model['version']}."


def device_speed_figures() -> str:
    """How fast the page is, as ratios of one run of app/bench."""
    bench = read_json(ROOT / "app" / "bench" / "result.json")
    header = ["what", "measured", "goal"]
    lines = [
        ["model's time against LiteRT in Python on one thread", f"{bench['model_to_python']:.2f}", "at most 1.5"],
        [
            "file to result, less decoding, against the model's time",
            f"{bench['file_to_result_less_decoding_to_model']:.2f}",
            "at most 2",
        ],
        ["ready again from its cache", f"{bench['ready_again_seconds']:.1f} s", "under 2 s"],
        ["page's heap after 200 pictures against after 50", f"{bench['heap_after_200_to_after_50']:.2f}", "no growth"],
    ]
    return table(header, lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "device-speed": device_speed_figures,
    "device-agreement": device_figures,
    "models": model_figures,
    "by-shortcut": by_shortcut_figures,
    "runs": training_figures,
    "speed": speed_figures,
    "data": data_figures,
    "shortcuts": shortcut_figures,
    "without-lungs": without_lungs_figures,
    "trials": trial_figures,
    "backends": backend_figures,
    "robustness": robustness_figures,
    "aspect": aspect_figures,
    "explanations": explanation_figures,
    "exchange": exchange_figures,
    "adults": adults_figures,
    "exports": lambda: table(*export_tables.size_and_speed(BENCHMARKS)),
    "operations": lambda: table(*export_tables.operations(BENCHMARKS)),
    "parity": lambda: table(*export_tables.parity(REPORTS)),
    **{
        name: partial(_made, make)
        for name, make in {**held_out.TABLES, **lung_figures.TABLES, **meaning.TABLES}.items()
    },
}


def rewritten(text: str) -> str:
    """The text with every block between ``<!-- NAME -->`` and ``<!-- /NAME -->`` made anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin not in text:
            continue
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{make()}\n{end}{after}"
    return text


def main(arguments: list[str]) -> int:
    """Rewrite or check the documents."""
    stale = []
    documents = {
        document: rewritten(document.read_text("utf-8"))
        for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    }
    documents |= {recipe: with_expectation(recipe) for recipe in sorted(RECIPES.glob("*.toml"))}
    for document, new in documents.items():
        if new != document.read_text("utf-8"):
            stale.append(document.name)
            if "--check" not in arguments:
                document.write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"{', '.join(stale)}: figures differ from the JSON; run python tools/figures.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
