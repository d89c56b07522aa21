"""The images of a run that calibration and export need, each read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pneumoscope.datasets.source import LabelledImage, Role
from pneumoscope.training.batches import PixelSet, load_pixels
from pneumoscope.training.run_folder import RunFolder

# Radiographs that the Gaussian of typicality is fitted on: many times its components, and quick to embed.
_TYPICAL_IMAGES = 1500
_REPRESENTATIVE_IMAGES = 200
# Held-out radiographs that say where typicality ends, and that exported forms are compared on.
_VALIDATION_IMAGES = 1000


@dataclass(frozen=True)
class RunImages:
    """Images of a run, read when they are first asked for.

    Attributes:
        run: whose manifest names them.
    """

    run: RunFolder

    @cached_property
    def rows(self) -> list[LabelledImage]:
        """The run's manifest."""
        return self.run.read_manifest()

    @property
    def lung_field(self) -> bool:
        """Whether the run's network sees the box around the lungs."""
        return self.run.read_settings()[0].lung_field

    @cached_property
    def validation(self) -> Mapping[Role, PixelSet]:
        """Images of each validation role that the manifest has, drawn the same way every time where there are many."""
        roles = (Role.GROUPED, Role.ORDERED)
        rows = {role: [row for row in self.rows if row.role is role] for role in roles}
        for role, all_rows in rows.items():
            chosen = np.random.default_rng(0).permutation(len(all_rows))[:_VALIDATION_IMAGES]
            rows[role] = [all_rows[index] for index in sorted(chosen)]
        return {
            role: load_pixels(chosen, what=f"{role} images", lung_field=self.lung_field)
            for role, chosen in rows.items()
            if chosen
        }

    @cached_property
    def typical(self) -> PixelSet:
        """Training images, drawn the same way every time."""
        rows = [row for row in self.rows if row.role is Role.TRAIN]
        chosen = np.random.default_rng(0).permutation(len(rows))[:_TYPICAL_IMAGES]
        return load_pixels([rows[index] for index in chosen], what="typical images", lung_field=self.lung_field)

    @property
    def representative(self) -> tuple[NDArray[np.uint8], ...]:
        """Training images ``uint8 [H, W]``, one a patient, for int8 ranges."""
        images = self.typical
        one_a_patient = {row.patient: image for row, image in zip(images.rows, images.pixels, strict=True)}
        return tuple(one_a_patient.values())[:_REPRESENTATIVE_IMAGES]
