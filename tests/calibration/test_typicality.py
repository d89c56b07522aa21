"""What typicality is fitted on."""

from __future__ import annotations

import numpy as np

from pneumoscope.calibration.run import with_variations
from pneumoscope.calibration.typicality import fit_typicality
from pneumoscope.training.batches import PixelSet
from pneumoscope.training.recipe import Augmentation, Recipe, Stage
from support import phantom


def summaries(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Mean grey of an 8 x 8 layout: an embedding that sees frames."""
    blocks = pixels.reshape(len(pixels), 8, 8, 8, 8).mean(axis=(2, 4)).reshape(len(pixels), -1)
    return np.asarray(blocks, np.float32)


def test_radiographs_with_a_black_frame_are_typical() -> None:
    framed_too = Recipe("framed", "pneumonet", (Stage(1, 64),), augmentation=Augmentation(frame=0.5), lung_field=True)
    chests = np.stack([phantom.chest_phantom(64, seed) for seed in range(200)])
    known = PixelSet(chests[:150], np.zeros((150, 3), np.float32), ())
    both = with_variations(known, framed_too)
    np.testing.assert_array_equal(both[:150], chests[:150])
    np.testing.assert_array_equal(both, with_variations(known, framed_too))
    frames = np.zeros((50, 64, 64), np.uint8)
    frames[:, 4:-4, 4:-4] = chests[150:, 4:-4, 4:-4]
    held_out = summaries(chests[150:])
    plain = fit_typicality(summaries(chests[:150]), held_out).typicality(summaries(frames))
    varied = fit_typicality(summaries(both), held_out).typicality(summaries(frames))
    assert (plain < 0.5).mean() > 0.9
    assert (varied < 0.5).mean() < 0.4
