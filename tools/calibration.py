"""What calibration and the choice of threshold are worth when the data shift: ``reports/calibration.json``.

    python tools/calibration.py RUN ...

Everything is fitted on one validation and judged on the other, both ways, on draws with the official test split's
numbers of normals and pneumonias: another prevalence, and between random patients and the time-ordered slice another
time. The means over the draws and the middle 95 % of them are written; images are drawn, not patients, so these are
narrow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pneumoscope.calibration.fit import fit_calibration
from pneumoscope.datasets.source import Role
from pneumoscope.statistics.calibration import estimate_prevalence, fit_temperature, shift_prior
from pneumoscope.statistics.metrics import expected_calibration_error
from pneumoscope.statistics.odds import pneumonia_logit
from pneumoscope.statistics.operating_points import OperatingPointName, choose_operating_points
from pneumoscope.training.batches import load_pixels
from pneumoscope.training.fit import predict_logits
from pneumoscope.training.run_folder import RunFolder

OUT = Path(__file__).resolve().parents[1] / "reports" / "calibration.json"
NORMAL, PNEUMONIA, DRAWS = 234, 390, 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """One validation: log odds of pneumonia ``float64 [N]`` before calibration, and labels ``int64 [N]``."""

    logit: Floats
    labels: NDArray[np.int64]

    @property
    def prevalence(self) -> float:
        """Share of pneumonia."""
        return float(self.labels.mean())

    def as_in_the_test_split(self, rng: np.random.Generator) -> Scored:
        """So many normals and pneumonias as there, drawn with replacement."""
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(self.labels == k), n) for k, n in enumerate((NORMAL, PNEUMONIA))]
        )
        return Scored(self.logit[chosen], self.labels[chosen])


def scored(run: RunFolder, role: Role) -> Scored:
    """What the run's best epoch says of a validation."""
    images = load_pixels([row for row in run.read_manifest() if row.role is role], what=f"{role} images")
    best = run.load_best()
    logits = predict_logits(keras.Model(best.input, best.output["logits"]), images.pixels)
    return Scored(pneumonia_logit(logits), images.positive.astype(np.int64))


def judged(fitted_on: Scored, judged_on: Scored) -> dict[str, dict[str, Any]]:
    """Every way on the same draws: the mean of each measure and the middle 95 % of the draws."""
    temperature = fit_temperature(fitted_on.logit, fitted_on.labels)
    line = fit_calibration(fitted_on.logit, fitted_on.labels == 1)
    both = expit(fitted_on.logit / line.temperature + line.bias)
    source, target = fitted_on.prevalence, PNEUMONIA / (NORMAL + PNEUMONIA)
    balanced = choose_operating_points(fitted_on.labels, both)[OperatingPointName.BALANCED].threshold
    measures: dict[str, list[dict[str, float]]] = {}
    for seed in range(DRAWS):
        drawn = judged_on.as_in_the_test_split(np.random.default_rng(seed))
        calibrated = expit(drawn.logit / line.temperature + line.bias)
        ways: Mapping[str, tuple[Floats, float]] = {
            "none": (expit(drawn.logit), 0.5),
            "temperature": (expit(drawn.logit / temperature), 0.5),
            "slope and intercept": (calibrated, 0.5),
            "slope and intercept, the true prevalence told": (shift_prior(calibrated, source, target), 0.5),
            "slope and intercept, prevalence estimated": (
                shift_prior(calibrated, source, estimate_prevalence(calibrated, source)),
                0.5,
            ),
            "slope and intercept, `balanced` threshold": (calibrated, balanced),
        }
        for way, (probability, threshold) in ways.items():
            measures.setdefault(way, []).append(measured(drawn.labels, probability, threshold))
    return {
        way: {name: summary([draw[name] for draw in draws]) for name in draws[0]} for way, draws in measures.items()
    }


def measured(labels: NDArray[np.int64], probability: Floats, threshold: float) -> dict[str, float]:
    """Of one draw."""
    called = probability >= threshold
    return {
        "ece": expected_calibration_error(labels, probability),
        "accuracy": float((called == labels).mean()),
        "sensitivity": float(called[labels == 1].mean()),
        "specificity": float(1 - called[labels == 0].mean()),
    }


def summary(values: list[float]) -> dict[str, Any]:
    """Mean and the middle 95 %."""
    return {"mean": float(np.mean(values)), "middle95": np.percentile(values, [2.5, 97.5]).tolist()}


def main() -> None:
    """Judge every run given and write the report."""
    lines: list[dict[str, Any]] = []
    for folder in sys.argv[1:]:
        run = RunFolder(Path(folder))
        recipe = run.read_settings()[0].name
        sets = {role: scored(run, role) for role in (Role.GROUPED, Role.ORDERED)}
        for fitted, other in ((Role.GROUPED, Role.ORDERED), (Role.ORDERED, Role.GROUPED)):
            ways = judged(sets[fitted], sets[other])
            lines += [
                {"recipe": recipe, "fitted_on": fitted.value, "judged_on": other.value, "way": way, **figures}
                for way, figures in ways.items()
            ]
    OUT.write_text(json.dumps({"draws": DRAWS, "lines": lines}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
