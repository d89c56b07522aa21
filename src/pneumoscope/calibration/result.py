"""``calibration.json``: everything that is fitted after training, so that export only converts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pneumoscope.calibration.fit import Calibration
from pneumoscope.calibration.typicality import TypicalityModel
from pneumoscope.errors import PneumoscopeError, TrainingError
from pneumoscope.files import write_atomically
from pneumoscope.model.contract import (
    CalibrationRecord,
    ConformalBand,
    OperatingPoint,
    band_from_json,
    operating_point_from_json,
    record_from_json,
)

FILE: Final = "calibration.json"
DEFAULT_POINT: Final = "balanced"
TYPICALITY_LIMIT: Final = 0.5
"""``fit_typicality`` puts 0.5 where two in a thousand validation radiographs lie farther out."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What a run's best weights were calibrated to.

    Attributes:
        weights_sha256: of the weights file that this belongs to.
        calibration: of the log odds.
        operating_points: by name, each with its rates by population.
        conformal: scores at which the model does not know; ``None`` where too few images promise nothing.
        record: what the probability refers to.
        typicality: of the network's embedding.
        scores: what was fitted on, in words.
        images: how many.
        default_operating_point: the one used when none is asked for.
        typicality_limit: an input of lower typicality is refused.
    """

    weights_sha256: str
    calibration: Calibration
    operating_points: Mapping[str, OperatingPoint]
    conformal: ConformalBand | None
    record: CalibrationRecord | None
    typicality: TypicalityModel
    scores: str
    images: int
    default_operating_point: str = DEFAULT_POINT
    typicality_limit: float = TYPICALITY_LIMIT

    def to_json(self) -> str:
        """The content of ``calibration.json``; reading gives the same bits back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["calibration"] = dataclasses.asdict(self.calibration)
        values["operating_points"] = {k: dataclasses.asdict(point) for k, point in self.operating_points.items()}
        values["conformal"] = None if self.conformal is None else dataclasses.asdict(self.conformal)
        values["record"] = None if self.record is None else dataclasses.asdict(self.record)
        values["typicality"] = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self.typicality).items()
        }
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibrated:
        """Read it.

        Raises:
            ValueError, TypeError, KeyError: it is not what :meth:`to_json` wrote.
        """
        values: dict[str, Any] = json.loads(text)
        typicality: dict[str, Any] = {
            name: np.array(value, np.float32) if isinstance(value, list) else float(value)
            for name, value in values["typicality"].items()
        }
        read = {
            "calibration": Calibration(**values["calibration"]),
            "operating_points": {
                name: operating_point_from_json(point) for name, point in values["operating_points"].items()
            },
            "conformal": band_from_json(values["conformal"]),
            "record": record_from_json(values["record"]),
            "typicality": TypicalityModel(**typicality),
        }
        return cls(**{**values, **read})


def write_calibrated(file: Path, calibrated: Calibrated) -> None:
    """Write ``calibration.json``.

    Raises:
        PneumoscopeError: it cannot be written.
    """
    write_atomically(file, calibrated.to_json().encode())


def read_calibrated(file: Path) -> Calibrated:
    """Read ``calibration.json``.

    Raises:
        TrainingError: it is not there, or not as it was written.
    """
    try:
        return Calibrated.from_json(file.read_text("utf-8"))
    except (OSError, ValueError, TypeError, KeyError, PneumoscopeError) as error:
        raise TrainingError(f"{file}: not as calibration wrote it ({error}); remove it, and it is made anew") from error
