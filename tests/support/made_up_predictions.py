"""Made-up predictions for the tests of the evaluation."""

from __future__ import annotations

import numpy as np

from pneumoscope.statistics.table import PredictionTable


def made_up_table(images: int = 200, seed: int = 0, *, ties: bool = False, skill: float = 1.5) -> PredictionTable:
    """Two thirds pneumonia, about two images a patient, all subtypes, scores of middling quality.

    Args:
        images: how many.
        seed: of everything.
        ties: round scores to one decimal.
        skill: distance between the classes in standard deviations.
    """
    random = np.random.default_rng(seed)
    labels = (np.arange(images) % 3 > 0).astype(np.int64)
    scores = 1 / (1 + np.exp(-(random.normal(size=images) + (labels - 0.5) * skill)))
    subtypes = ["NORMAL" if not label else ("BACTERIAL", "VIRAL")[int(random.random() < 0.35)] for label in labels]
    return PredictionTable.from_arrays(
        labels,
        scores.round(1) if ties else scores,
        paths=[f"test/image-{row}.jpeg" for row in range(images)],
        patients=[f"person{number}" for number in random.integers(0, images // 2, images)],
        subtypes=subtypes,
        subtype_probabilities=random.dirichlet([1, 1, 1], images),
    )
