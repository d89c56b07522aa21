"""What the number means: calibration, operating points and coverage from out-of-fold scores, and monitoring's alarms.

    python tools/meaning.py scores OUT_OF_FOLD.csv          writes reports/meaning.json
    python tools/meaning.py months DATA [MODEL]             writes reports/monitoring.json

``tools/figures.py`` writes the documents' tables from both.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.model.classifier import Model, load_model
from pneumoscope.model.wording import share
from pneumoscope.monitoring.drift import FALSE_ALARMS, compare
from pneumoscope.monitoring.records import Sample, read_records
from pneumoscope.statistics.calibrated_scale import fit_once, fit_scale
from pneumoscope.statistics.calibration import reliability_curve
from pneumoscope.statistics.conformal import COVERAGE, measure_coverage
from pneumoscope.statistics.labelled_scores import (
    CONTRADICTING,
    LABELS,
    LabelledScores,
    fold_numbers,
    groups_of,
    neutral_weights,
)
from pneumoscope.statistics.odds import sigmoid
from pneumoscope.statistics.reliability import CalibrationError, calibration_error
from pneumoscope.statistics.weighting import weighted_auc

REPORTS: Final = Path(__file__).resolve().parents[1] / "reports"
MEANING, MONITORING = REPORTS / "meaning.json", REPORTS / "monitoring.json"
_POPULATIONS: Final = {"kermany": "children", "nih": "adults"}
MONTH: Final = 240
SIMULATED: Final = 400

Pixels = NDArray[np.uint8]
Table = tuple[list[str], list[list[str]]]


def read_scores(file: Path) -> LabelledScores:
    """Out-of-fold scores as ``pneumoscope train`` writes them."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return LabelledScores(
        logits=np.array([float(row["logit"]) for row in rows]),
        labels=np.array([LABELS.index(row["label"]) for row in rows], dtype=np.int64),
        patients=[row["patient"] for row in rows],
        populations=[_POPULATIONS.get(row["source"], row["source"]) for row in rows],
        shortcut=np.array([float(row["shortcut"] or "nan") for row in rows]),
    )


def meaning(file: Path) -> dict[str, Any]:
    """Everything that is said of out-of-fold scores."""
    scores = read_scores(file)
    scale = fit_scale(scores, source="out-of-fold scores")
    assert scale.band is not None
    raw = sigmoid(scores.logits)
    number = fold_numbers(scores)
    fits = [fit_once(scores.part(number != fold)) for fold in range(int(number.max()) + 1)]
    crossed = np.empty(len(raw))
    for fold, fit in enumerate(fits):
        crossed[number == fold] = fit.affine.probability(scores.logits[number == fold])
    groups = {group.name: group for group in groups_of(scores)}
    before = {
        name: calibration_error(scores.labels[g.members], raw[g.members], g.class_balanced(scores.labels)[g.members])
        for name, g in groups.items()
    }
    weights = neutral_weights(scores)
    framed = np.isfinite(scores.shortcut) if scores.shortcut is not None else np.zeros(len(raw), dtype=bool)
    told = {}
    if scores.shortcut is not None and framed.any():
        labels, shortcut = scores.labels[framed], scores.shortcut[framed]
        told = {
            "as they are": weighted_auc(labels, shortcut, np.ones(len(labels))),
            "weighted": weighted_auc(labels, shortcut, weights[framed]),
        }
    return {
        "n": len(raw),
        "affine": dataclasses.asdict(scale.affine),
        "record": dataclasses.asdict(scale.record),
        "operating_points": {name: dataclasses.asdict(point) for name, point in scale.operating_points.items()},
        "band": dataclasses.asdict(scale.band),
        "groups": [
            dict(zip(("name", "normals", "pneumonias", "worth_normals", "worth_pneumonias"), each, strict=True))
            for each in scale.groups
        ],
        "calibration": {name: {"before": _error(before[name]), "after": _error(scale.errors[name])} for name in groups},
        "reliability": {
            name: {"before": _curve(scores, raw, groups[name].members), "after": _curve(scores, crossed, g.members)}
            for name, g in groups.items()
            if name.endswith(CONTRADICTING)
        },
        "shortcut_auc": told,
        "coverage_by_fold": _by_fold(scores, number, fits, crossed),
    }


def _error(error: CalibrationError) -> dict[str, float]:
    return {**dataclasses.asdict(error), "excess": error.excess}


def _curve(scores: LabelledScores, probabilities: NDArray[np.float64], members: NDArray[np.bool_]) -> Any:
    return [dataclasses.asdict(bin_) for bin_ in reliability_curve(scores.labels[members], probabilities[members], 8)]


def _by_fold(
    scores: LabelledScores, number: NDArray[np.int64], fits: Sequence[Any], crossed: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Coverage of each class in each fold of each promised group."""
    found = []
    for group in groups_of(scores):
        for fold, fit in enumerate(fits if group.promised else ()):
            chosen = group.members & (number == fold)
            weights = None if group.weights is None else group.weights[chosen]
            for label, name in enumerate(LABELS):
                coverage = measure_coverage(scores.labels[chosen], crossed[chosen], fit.band, label, weights)
                if coverage is not None:
                    found.append(
                        {
                            "group": group.name,
                            "fold": fold,
                            "label": name,
                            "n": coverage.n,
                            "coverage": coverage.coverage,
                            "ci95": coverage.ci95,
                            "kept": coverage.ci95[1] >= COVERAGE,
                        }
                    )
    return found


def brighter(pixels: Pixels, gamma: float = 0.6) -> Pixels:
    """As by another exposure or another look-up table."""
    return np.rint(255 * (pixels / 255.0) ** gamma).astype(np.uint8)


def closer(pixels: Pixels) -> Pixels:
    """Framed closer: a tenth cut off each side."""
    height, width = pixels.shape
    return np.ascontiguousarray(pixels[height // 10 : -(height // 10), width // 10 : -(width // 10)])


def months(data: Path, model_file: Path | None = None) -> dict[str, Any]:
    """Months drawn from real radiographs, changed in one way each, against a month that is not."""
    model = load_model(model_file)
    generator = np.random.default_rng(0)
    files = {label: sorted((data / "chest_xray_224" / "train" / label).glob("*.jpeg")) for label in LABELS}
    pools = {label: [paths[row] for row in generator.permutation(len(paths))] for label, paths in files.items()}
    drawn = {label: iter(pool) for label, pool in pools.items()}

    def month(ill: float) -> list[Path]:
        pneumonias = round(MONTH * ill)
        counts = {"NORMAL": MONTH - pneumonias, "PNEUMONIA": pneumonias}
        return [next(drawn[label]) for label, count in counts.items() for _ in range(count)]

    baseline = scored(model, month(0.5))
    changes: dict[str, Sample] = {
        "nothing": scored(model, month(0.5)),
        "brighter pictures (gamma 0.6)": scored(model, month(0.5), brighter),
        "much brighter pictures (gamma 0.3)": scored(model, month(0.5), partial(brighter, gamma=0.3)),
        "framed closer (a tenth off each side)": scored(model, month(0.5), closer),
        "pneumonia in 80 % in place of 50 %": scored(model, month(0.8)),
    }
    return {
        "model": {"name": model.info.name, "version": model.info.version, "sha256": model.info.sha256},
        "records": MONTH,
        "false_alarms": FALSE_ALARMS,
        "months": {name: compare(baseline, sample).to_json() for name, sample in changes.items()},
        "simulated": simulate(),
    }


def scored(model: Model, paths: Sequence[Path], change: Callable[[Pixels], Pixels] = lambda p: p) -> Sample:
    """Records of pictures after a change, read back as monitoring reads them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "month.jsonl"
        with file.open("w") as stream:
            for path in paths:
                pixels = change(np.asarray(Image.open(path).convert("L")))
                stream.write(model.predict(pixels).to_json() + "\n")
        return read_records(file)


def simulate() -> dict[str, Any]:
    """How often two months from one made-up source raise an alarm, without what makes a small difference not matter."""
    alarms = {}
    for stated in (0.01, 0.05, 0.2):
        hits = 0
        for run in range(SIMULATED):
            one, two = (_made_up(200, 2 * run + part) for part in (0, 1))
            hits += any(change.p_value < stated for change in compare(one, two, stated).changes)
        alarms[f"{stated:g}"] = hits / SIMULATED
    return {"months": SIMULATED, "records": 200, "alarms_by_stated_rate": alarms}


def _made_up(n: int, seed: int) -> Sample:
    generator = np.random.default_rng(seed)
    made = Sample("made up")
    for _ in range(n):
        refused = generator.random() < 0.03
        score = None if refused else float(sigmoid(3 * generator.normal()).round(3))
        box = None if refused else np.array([0.1, 0.1, 0.9, 0.9]) + 0.03 * generator.normal(size=4)
        made.add(
            "refused" if refused else "ok", score, float(generator.beta(20, 3)), None if box is None else list(box)
        )
        if generator.random() < 0.1:
            made.add_kinds(["outside the population"], "")
    return made


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _between(value: float, ends: Sequence[float]) -> str:
    return f"{share(value)} ({share(ends[0])} to {share(ends[1])})"


def calibration_table() -> Table:
    """Calibration error of every group before and after, beside what chance alone gives."""
    content = _read(MEANING)
    lines = []
    for group in content["groups"]:
        errors = content["calibration"][group["name"]]
        worth = f"{group['worth_normals']:.0f} and {group['worth_pneumonias']:.0f}"
        lines.append(
            [
                group["name"],
                f"{group['normals']} and {group['pneumonias']}",
                worth,
                f"{errors['before']['ece']:.3f}",
                f"{errors['after']['ece']:.3f}",
                f"{errors['after']['if_perfect']:.3f}",
                f"{errors['after']['excess']:.3f}",
                f"{errors['after']['bias']:+.3f}",
            ]
        )
    header = [
        "images",
        "normals and pneumonias",
        "worth",
        "ECE before",
        "ECE after",
        "of a perfect model",
        "beyond chance",
        "bias after",
    ]
    return header, lines


def reliability_table() -> Table:
    """Predicted and observed share of pneumonia among images whose framing contradicts the label, before and after."""
    lines = []
    for curves in _read(MEANING)["reliability"].values():
        for before, after in zip(curves["before"], curves["after"], strict=False):
            lines += [
                [
                    str(after["n"]),
                    share(before["mean_probability"]),
                    _between(before["observed"], before["ci95"]),
                    share(after["mean_probability"]),
                    _between(after["observed"], after["ci95"]),
                ]
            ]
    return ["images", "predicted before", "observed", "predicted after", "observed"], lines


def points_table() -> Table:
    """Every operating point by population."""
    lines = [
        [
            f"`{name}`, {point['threshold']:.3f}",
            rates["population"],
            _between(rates["sensitivity"], rates["ci95"]["sensitivity"]),
            _between(rates["specificity"], rates["ci95"]["specificity"]),
        ]
        for name, point in _read(MEANING)["operating_points"].items()
        for rates in point["populations"]
    ]
    return ["operating point, threshold", "images", "sensitivity", "specificity"], lines


def coverage_table() -> Table:
    """Coverage by population and class, and whether the promise is kept within the interval."""
    band = _read(MEANING)["band"]
    lines = [
        [
            entry["population"],
            entry["label"],
            str(entry["n"]),
            _between(entry["coverage"], entry["ci95"]),
            share(entry["uncertain"]),
            "kept" if entry["ci95"][1] >= band["coverage"] else "**not kept**",
        ]
        for entry in band["populations"]
    ]
    return ["images", "class", "n", "coverage", "uncertain", f"promise of {share(band['coverage'])}"], lines


def folds_table() -> Table:
    """In how many folds the promise is kept."""
    found = _read(MEANING)["coverage_by_fold"]
    lines = []
    for group, label in dict.fromkeys((entry["group"], entry["label"]) for entry in found):
        each = [entry for entry in found if (entry["group"], entry["label"]) == (group, label)]
        kept = sum(entry["kept"] for entry in each)
        lowest = min(each, key=lambda entry: entry["coverage"])
        lines.append([group, label, f"{kept} of {len(each)}", _between(lowest["coverage"], lowest["ci95"])])
    return ["images", "class", "folds in which it is kept", "lowest coverage of a fold"], lines


def months_table() -> Table:
    """What monitoring says of months that were changed."""
    content = _read(MONITORING)
    model = f"`{content['model']['name']}` {content['model']['version']}"
    lines = []
    for name, month in content["months"].items():
        drifted = [change["name"] for change in month["changes"] if change["drifted"]]
        lines.append([name, "alarm" if month["drift"] else "no alarm", ", ".join(drifted)])
    return [f"what was changed, {content['records']} records each", f"answer ({model})", "what drifted"], lines


def alarms_table() -> Table:
    """Alarms where nothing has changed, by the rate that was stated."""
    simulated = _read(MONITORING)["simulated"]
    rows = simulated["alarms_by_stated_rate"].items()
    lines = [[share(float(stated)), share(found)] for stated, found in rows]
    return ["stated at most", f"found in {simulated['months']} pairs of months"], lines


TABLES: Final[dict[str, Callable[[], Table]]] = {
    "meaning-calibration": calibration_table,
    "meaning-reliability": reliability_table,
    "meaning-points": points_table,
    "meaning-coverage": coverage_table,
    "meaning-folds": folds_table,
    "monitoring-months": months_table,
    "monitoring-alarms": alarms_table,
}


def main(arguments: list[str]) -> int:
    """Write one of the two reports."""
    kinds: dict[str, tuple[Callable[..., dict[str, Any]], Path]] = {
        "scores": (meaning, MEANING),
        "months": (months, MONITORING),
    }
    if not 2 <= len(arguments) <= 2 + (arguments[:1] == ["months"]) or arguments[0] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    make, out = kinds[arguments[0]]
    paths = [Path(argument) for argument in arguments[1:]]
    command = " ".join(["python tools/meaning.py", arguments[0], *(path.name for path in paths)])
    content = {"command": command, **make(*paths)}
    out.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
