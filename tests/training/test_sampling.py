"""Batches by source: both classes of each alike, each image in its turn, and framing that tells nothing where asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pneumoscope.datasets.kermany import KERMANY
from pneumoscope.datasets.nih import NIH
from pneumoscope.datasets.source import LabelledImage
from pneumoscope.errors import DataError
from pneumoscope.labels import Label
from pneumoscope.training.sampling import draw_by_source
from support.tiny_data import TINY

RECIPE = dataclasses.replace(TINY, batch_size=20, adults=0.2)


def images(*counts: tuple[object, Label, int]) -> list[LabelledImage]:
    return [
        LabelledImage(Path(f"{origin}{label}{number}"), label, None, f"{origin}{label}{number}", origin=origin)  # type: ignore[arg-type]
        for origin, label, count in counts
        for number in range(count)
    ]


BOTH = images(
    (KERMANY, Label.NORMAL, 30), (KERMANY, Label.PNEUMONIA, 90), (NIH, Label.NORMAL, 16), (NIH, Label.PNEUMONIA, 4)
)


def test_every_batch_has_both_classes_of_each_source_alike() -> None:
    order = draw_by_source(BOTH, RECIPE, np.random.default_rng(0))
    assert len(order) == (len(BOTH) // 20) * 20
    for batch in order.reshape(-1, 20):
        counts = {
            (origin, label): sum(BOTH[i].origin == origin and BOTH[i].label is label for i in batch)
            for origin in (KERMANY, NIH)
            for label in Label
        }
        assert counts == {
            (KERMANY, Label.NORMAL): 8,
            (KERMANY, Label.PNEUMONIA): 8,
            (NIH, Label.NORMAL): 2,
            (NIH, Label.PNEUMONIA): 2,
        }


def test_no_image_comes_twice_before_all_others_have_come() -> None:
    order = draw_by_source(BOTH, RECIPE, np.random.default_rng(1))
    pneumonias = [i for i in order if BOTH[i].origin is KERMANY and BOTH[i].label is Label.PNEUMONIA]
    normals = [i for i in order if BOTH[i].origin is KERMANY and BOTH[i].label is Label.NORMAL]
    assert len(set(pneumonias)) == len(pneumonias) == 56
    assert len(set(normals[:30])) == 30


def test_images_of_which_nobody_says_whence_count_to_the_largest_source() -> None:
    order = draw_by_source([*BOTH, *images((None, Label.PNEUMONIA, 1))], RECIPE, np.random.default_rng(0))
    assert max(order) <= len(BOTH)


def test_a_source_with_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="source 'nih': has no PNEUMONIA images"):
        draw_by_source(
            images((KERMANY, Label.NORMAL, 9), (KERMANY, Label.PNEUMONIA, 9), (NIH, Label.NORMAL, 5)),
            RECIPE,
            np.random.default_rng(0),
        )


def test_balanced_by_framing_the_shortcut_tells_less_of_the_label() -> None:
    rng = np.random.default_rng(0)
    many = images(
        (KERMANY, Label.NORMAL, 500),
        (KERMANY, Label.PNEUMONIA, 500),
        (NIH, Label.NORMAL, 50),
        (NIH, Label.PNEUMONIA, 50),
    )
    positive = np.array([image.label is Label.PNEUMONIA for image in many])
    shortcut = np.where(positive, rng.beta(2, 1, len(many)), rng.beta(1, 2, len(many)))  # P(pneumonia) itself
    shortcut[1000:] = np.nan

    def gap(balance: float) -> float:
        recipe = dataclasses.replace(RECIPE, shortcut_balance=balance)
        drawn = np.concatenate([draw_by_source(many, recipe, np.random.default_rng(s), shortcut) for s in range(5)])
        drawn = drawn[drawn < 1000]
        return float(shortcut[drawn][positive[drawn]].mean() - shortcut[drawn][~positive[drawn]].mean())

    assert gap(0.0) == pytest.approx(1 / 3, abs=0.04)
    assert gap(0.5) == pytest.approx(1 / 6, abs=0.04)
    assert abs(gap(1.0)) < 0.05
