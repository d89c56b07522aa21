"""How long a whole evaluation takes beside predicting: 2,000 clustered bootstrap draws, every picture, the page.

    PNEUMOSCOPE_DATA=DATA python benchmarks/evaluate.py [IMAGES]

Predicts the training radiographs (224 x 224; IMAGES of them, spread evenly, or all) on one thread and evaluates the
predictions of as many images as the whole folder has. With IMAGES, the time of predicting all is extrapolated.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import write_result
from pneumoscope.datasets.registry import find_images
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.evaluation.score import tabulate
from pneumoscope.model.classifier import load_model
from pneumoscope.statistics.bootstrap import DRAWS
from pneumoscope.statistics.table import PredictionTable

GOAL = 2.0


def repeated(table: PredictionTable, count: int) -> PredictionTable:
    """The table again and again until it has ``count`` images, with new paths and patients and other scores."""
    rows = np.arange(count) % len(table)
    again = np.arange(count) // len(table)
    noise = np.random.default_rng(0).normal(0, 0.01, count)
    return PredictionTable.from_arrays(
        table.labels[rows],
        np.clip(np.nan_to_num(table.probabilities[rows], nan=0.5) + noise, 0, 1),
        paths=[f"{table.paths[row]}#{turn}" for row, turn in zip(rows, again, strict=True)],
        patients=[f"{(table.patients or table.paths)[row]}#{turn}" for row, turn in zip(rows, again, strict=True)],
        subtypes=[(table.subtypes or [None] * len(table))[row] for row in rows],
        subtype_probabilities=(
            None if table.subtype_probabilities is None else np.nan_to_num(table.subtype_probabilities[rows], nan=1 / 3)
        ),
    )


def main(wanted: int | None) -> None:
    """Predict, evaluate, and write the ratio of both to predicting alone."""
    images = find_images(Path(os.environ["PNEUMOSCOPE_DATA"]) / "chest_xray_224", ["train"])
    chosen = images if wanted is None else [images[i] for i in np.linspace(0, len(images) - 1, wanted).astype(int)]
    model = load_model()
    wall, cpu = time.perf_counter(), time.process_time()
    table = tabulate(chosen, model.predict_many([image.path for image in chosen]))
    share = len(chosen) / len(images)
    predicting, predicting_cpu = (time.perf_counter() - wall) / share, (time.process_time() - cpu) / share
    full = table if wanted is None else repeated(table, len(images))
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        evaluate_predictions(
            full,
            threshold=model.contract.operating_point()[1].threshold,
            operating_points={name: point.threshold for name, point in model.contract.operating_points.items()},
            split="train",
            model_info={"name": model.info.name},
            out=Path(folder),
        )
        judging, judging_cpu = time.perf_counter() - wall, time.process_time() - cpu
    ratio = (predicting_cpu + judging_cpu) / predicting_cpu
    write_result(
        "evaluate",
        {
            "images": len(full),
            "images_predicted": len(chosen),
            "draws": DRAWS,
            "predicting_seconds": predicting,
            "predicting_cpu_seconds": predicting_cpu,
            "evaluating_seconds": judging,
            "evaluating_cpu_seconds": judging_cpu,
            "whole_over_predicting": (predicting + judging) / predicting,
            "whole_over_predicting_cpu": ratio,
        },
        headline=[
            (
                f"evaluation of {len(full):,} images, {DRAWS:,} bootstrap draws, against predicting them (CPU time)",
                f"{ratio:.2f} times",
                f"below {GOAL:.0f} times",
            )
        ],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
