"""Pictures of judged images for the report's page: only of the few that it shows, read again for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pneumoscope.drawing.panel import SIDE, panel, panel_png, side_by_side
from pneumoscope.evaluation.explanations.summary import ExplanationScores
from pneumoscope.explain.methods import METHODS
from pneumoscope.model.classifier import Model

Draw = Callable[[str], bytes | None]
"""Path -> PNG bytes, or ``None`` where there is nothing to draw."""


def with_heatmap(model: Model) -> Draw:
    """Draws an image with the model's heatmap."""

    def draw(path: str) -> bytes | None:
        examined = model.examine(path, target=SIDE)
        if examined.radiograph is None:
            return None
        prediction = examined.prediction
        drawn = panel(prediction, examined.radiograph, prediction.heatmap, title=Path(path).name)
        return panel_png(drawn, prediction)

    return draw


def with_tested_heatmaps(model: Model, tested: ExplanationScores) -> Draw:
    """Draws an image with each of the heatmaps that were tested, side by side."""
    methods = [method for name, method in METHODS.items() if name in tested.scores]

    def draw(path: str) -> bytes | None:
        examined = model.examine(path, target=SIDE)
        image, prediction = examined.radiograph, examined.prediction
        if image is None:
            return None
        heatmaps = {method.title: method.load()(model, image) for method in methods}
        known = {title: heat for title, heat in heatmaps.items() if heat is not None}
        return panel_png(side_by_side(prediction, image, known, title=Path(path).name), prediction) if known else None

    return draw
