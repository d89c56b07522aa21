"""Scores that everything after training is fitted on: log odds of images that the network was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import DataError


@dataclass(frozen=True, eq=False)
class Scores:
    """Log odds of N images, each by a network that did not train on its patient.

    Attributes:
        logit: log odds of pneumonia before calibration, ``float64 [N]``, in nats.
        positive: which show pneumonia, ``bool [N]``.
        patients: N keys.
        sources: names of the data sets they come from, N; one population each.
        weight: what each image counts, ``float64 [N]``, above 0; 1 for all by default.
        shortcut: P(pneumonia) of the picture without its lungs, ``float64 [N]``, NaN where unknown; ``None`` where
            it was not measured.
        made_by: what the scores are, in words.

    Raises:
        DataError: columns of unequal length, a score that is not finite, or one class only.
    """

    logit: NDArray[np.float64]
    positive: NDArray[np.bool_]
    patients: Sequence[str]
    sources: Sequence[str]
    weight: NDArray[np.float64] | None = None
    shortcut: NDArray[np.float64] | None = None
    made_by: str = "validation images of the run"

    def __post_init__(self) -> None:
        """Refuse what nothing can be fitted on."""
        columns = (self.positive, self.patients, self.sources, self.weight, self.shortcut)
        if any(column is not None and len(column) != len(self.logit) for column in columns):
            raise DataError("scores: columns of unequal length")
        if not np.isfinite(self.logit).all():
            raise DataError("scores: a log odds is not finite")
        if self.weight is not None and not (np.isfinite(self.weight).all() and (self.weight > 0).all()):
            raise DataError("scores: weights must be finite and above 0")
        if not 0 < self.positive.mean() < 1:
            raise DataError("scores: images of both classes are needed to calibrate")
