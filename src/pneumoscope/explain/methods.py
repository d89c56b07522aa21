"""The explanation methods, by name. The command line derives its choices from this table."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pneumoscope.images import GreyImage
    from pneumoscope.model import Model


class Explain(Protocol):
    """Says which parts of an image speak for pneumonia."""

    def __call__(self, model: Model, image: GreyImage) -> NDArray[np.float32] | None:
        """Give a heatmap, ``float32 [h, w]``, 0 to 1; ``None`` where the model refuses the image."""
        ...


@dataclass(frozen=True)
class Method:
    """One way of explaining.

    Attributes:
        title: as pictures call it.
        target: ``module:function`` of an :class:`Explain`, imported when needed.
    """

    title: str
    target: str

    def load(self) -> Explain:
        """Import the function."""
        module, _, attribute = self.target.partition(":")
        return cast(Explain, getattr(importlib.import_module(module), attribute))


METHODS: Final[Mapping[str, Method]] = {
    "grad-cam": Method("Grad-CAM", "pneumoscope.explain.methods:in_graph_grad_cam"),
}
DEFAULT_METHOD: Final = "grad-cam"


def in_graph_grad_cam(model: Model, image: GreyImage) -> NDArray[np.float32] | None:
    """Grad-CAM of the pneumonia logit, as the model's own graph computes it.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, doi 10.1109/ICCV.2017.74.
    """
    return model.predict_image(image).heatmap
