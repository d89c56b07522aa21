"""What a model's lung field says beside the judgement: no lungs, or lungs that the picture cuts off."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumoscope.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EDGES = ("upper", "lower", "left", "right")
_LUNG = 0.5  # P(lung) from which a cell of the mask counts where lungs may be cut off


@dataclass(frozen=True)
class LungField:
    """Part of the contract of a model that looks for the lungs and judges what is inside their box.

    Attributes:
        classifier_side: height and width in pixels that the lungs' box is resampled to inside the graph.
        sure: P(lung) from which a cell of the mask is surely lung.
        least_share: share of the picture that must surely be lung; with less it is refused.
        edge_share: share of one edge of the picture that may be lung; beyond it a note says that lungs are cut off.
            How often that is so is in ``reports/lung-field``.
    """

    classifier_side: int
    sure: float = 0.9
    least_share: float = 0.06
    edge_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what no client could honour."""
        if not isinstance(self.classifier_side, int) or not 16 <= self.classifier_side <= 4096:
            raise ContractError(f"lung field: classifier_side is {self.classifier_side!r}, must be 16 to 4096 pixels")
        for name in ("sure", "least_share", "edge_share"):
            value = dataclasses.asdict(self)[name]
            if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= 1):
                raise ContractError(f"lung field: {name} is {value!r}, must be 0 to 1")

    def reasons(self, lungs: NDArray[np.float32]) -> tuple[str, ...]:
        """Why a picture with this mask, ``float32 [h, w]`` 0 to 1, is not judged; empty where lungs were found."""
        share = float((lungs > self.sure).mean())
        if share >= self.least_share:
            return ()
        return (
            f"no lung fields found: {share:.1%} of the picture is surely lung, at least {self.least_share:.0%} needed; "
            "give a frontal chest radiograph",
        )

    def notes(self, lungs: NDArray[np.float32]) -> tuple[str, ...]:
        """What the reader of a judged picture with this mask must know."""
        lung = lungs > _LUNG
        edges = (lung[0], lung[-1], lung[:, 0], lung[:, -1])
        cut = [name for name, edge in zip(_EDGES, edges, strict=True) if float(edge.mean()) > self.edge_share]
        if not cut:
            return ()
        sides = f"{' and '.join(cut)} edge{'s' if len(cut) > 1 else ''}"
        return (f"lungs reach the {sides} of the picture: a part of them may be cut off",)
