"""What a model says about one input, as an object and as the JSON record that every interface gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.labels import Status as Status
from pneumoscope.model.post_test import PostTest


@dataclass(frozen=True)
class ModelInfo:
    """Which model judged.

    Attributes:
        name: of the model.
        version: of the model.
        sha256: of the model file, 64 hex digits.
    """

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Scale:
    """What a score is shown beside.

    Attributes:
        points: the threshold of every operating point of the model, by name.
        band: from where to where both labels stay open; ``None`` where the model makes no such promise.
    """

    points: Mapping[str, float]
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class LungBox:
    """Where the lungs are, as shares of the picture's width and height, 0 to 1, from its upper left corner.

    Attributes:
        left: of the box.
        top: of the box.
        right: of the box, at least ``left``.
        bottom: of the box, at least ``top``.
    """

    left: float
    top: float
    right: float
    bottom: float

    def as_dict(self) -> dict[str, list[float]]:
        """The member ``lungs`` of a record."""
        return {"box": [round(side, 4) for side in (self.left, self.top, self.right, self.bottom)]}


@dataclass(frozen=True, eq=False)
class Prediction:
    """The record of one input.

    Attributes:
        path: the input as it was given; ``"input"`` for bytes without a name.
        sha256: of the file's bytes, or ``None`` where they could not be read.
        status: ``ok``, ``refused`` or ``error``.
        label: ``NORMAL`` or ``PNEUMONIA``; ``None`` unless the status is ``ok``.
        probability: calibrated P(pneumonia) where half of the patients have it (models of contract version 1: where
            as many have it as in their validation), 0 to 1; ``None`` unless the status is ``ok``.
        threshold: PNEUMONIA from this probability on.
        operating_point: name of that threshold.
        subtype: P(NORMAL), P(BACTERIAL), P(VIRAL) where the model tells them apart.
        typicality: how like a training radiograph the input is, 0 to 1; ``None`` where that was not measured.
        reasons: why the input was refused or failed, in words; empty for ``ok``.
        model: which model judged.
        notes: what the reader of a judged record must know, one sentence each.
        prediction_set: the labels that the promised coverage leaves open; both mean that the model does not know.
            ``None`` where the model makes no such promise. It always holds ``label``.
        lungs: where the lungs are; ``None`` where the model does not look for them or found none.
        post_test: what the score means at the prevalence that was asked for; ``None`` where none was.
        scale: what the score is shown beside, no part of the record; ``None`` in a record made elsewhere.
        heatmap: Grad-CAM of the pneumonia logit, ``float32 [h, w]``, 0 to 1; ``None`` unless ``ok``.
    """

    path: str
    sha256: str | None
    status: Status
    threshold: float
    operating_point: str
    model: ModelInfo
    label: str | None = None
    probability: float | None = None
    subtype: Mapping[str, float] | None = None
    typicality: float | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    prediction_set: tuple[str, ...] | None = None
    lungs: LungBox | None = None
    post_test: PostTest | None = None
    scale: Scale | None = field(default=None, repr=False)
    heatmap: NDArray[np.float32] | None = field(default=None, repr=False)

    def as_dict(self, heatmap: str | None = None) -> dict[str, Any]:
        """The record as plain values, ready for JSON. The member ``post_test`` is there only if it was asked for.

        Args:
            heatmap: where the picture of the heatmap is: a path or a data URI.
        """
        record = {
            "path": self.path,
            "sha256": self.sha256,
            "status": self.status.value,
            "label": self.label,
            "probability": self._shown_probability(),
            "threshold": _rounded(self.threshold),
            "operating_point": self.operating_point,
            "subtype": None if self.subtype is None else {k: _rounded(v) for k, v in self.subtype.items()},
            "typicality": _rounded(self.typicality),
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "heatmap": heatmap,
            "prediction_set": None if self.prediction_set is None else list(self.prediction_set),
            "lungs": None if self.lungs is None else self.lungs.as_dict(),
            "model": {"name": self.model.name, "version": self.model.version, "sha256": self.model.sha256},
        }
        return record if self.post_test is None else record | {"post_test": self.post_test.as_dict()}

    def _shown_probability(self) -> float | None:
        """Six decimals, unless they would put the number on the other side of the threshold than the label."""
        if self.probability is None:
            return None
        shown = round(self.probability, 6)
        same = (shown >= round(self.threshold, 6)) == (self.probability >= self.threshold)
        return shown if same else self.probability

    def to_json(self, heatmap: str | None = None) -> str:
        """The record as one line of JSON."""
        return json.dumps(self.as_dict(heatmap), ensure_ascii=False)


def _rounded(value: float | None) -> float | None:
    """Six decimals: more than any model is worth, and the same text on every machine."""
    return None if value is None else round(value, 6)
