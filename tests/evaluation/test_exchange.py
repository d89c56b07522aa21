from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.evaluation.exchange import check_exchange, exchanged, kept_lungs
from pneumoscope.model.classifier import Model
from pneumoscope.model.lungs import lung_mask
from support import phantom


def chests(count: int = 12) -> list[NDArray[np.uint8]]:
    """Every second one is ill: an opacity in the lung and a bright upper corner."""
    made = []
    for row in range(count):
        pixels = phantom.chest_phantom(224, row, opacity=row % 2).copy()
        if row % 2:
            pixels[:20, :20] = 255
        made.append(pixels)
    return made


@dataclass
class Reads:
    """A model that reads one spot of the picture."""

    rows: slice
    columns: slice

    def runtime(self) -> Any:
        return SimpleNamespace(
            run=lambda p: SimpleNamespace(probability=float(p[self.rows, self.columns].mean() / 255))
        )


def results_of(model: Reads) -> dict[str, Any]:
    images = chests()
    found = check_exchange(cast(Model, model), images, np.arange(12) % 2 == 1, None, threshold=0.5)
    assert found.without_lungs == 0
    return {result.partner: result for result in found.results}


def test_a_model_that_reads_the_lungs_passes() -> None:
    results = results_of(Reads(slice(95, 110), slice(55, 70)))
    for result in results.values():
        assert result.images == 12
        assert result.mean_probability_change < 0.005
        assert result.flips == 0
        assert result.passed


def test_a_model_that_reads_a_corner_changes_its_mind_with_the_other_class() -> None:
    results = results_of(Reads(slice(0, 8), slice(0, 8)))
    assert not results["other class"].passed
    assert results["other class"].flips > 6
    assert results["same class"].flips < results["other class"].flips


def test_lungs_stay_and_the_rest_is_the_others() -> None:
    pixels = phantom.chest_phantom(224)
    keep = kept_lungs(lung_mask(pixels), (224, 224))
    box = (0.2, 0.2, 0.8, 0.8)
    mixed = exchanged(pixels, keep, box, np.full((224, 224), 7, np.uint8), box)
    assert (mixed[keep == 1] == pixels[keep == 1]).all()
    assert (mixed[keep == 0] == 7).all()
    assert keep[:5, :5].max() == 0


def test_the_others_lungs_are_laid_on_this_ones() -> None:
    other = np.zeros((100, 100), np.uint8)
    other[20:40, 10:50] = 200
    mixed = exchanged(
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100), np.float32),
        (0.5, 0.5, 0.9, 0.9),
        other,
        (0.1, 0.2, 0.5, 0.4),
    )
    rows, columns = np.nonzero(mixed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((50, 89, 50, 89), abs=1)
