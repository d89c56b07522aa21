"""The explanation methods, by name. The command line derives its choices from this table."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pneumoscope.explain.graph_surgery import OpenedGraph
    from pneumoscope.imaging.radiograph import Radiograph
    from pneumoscope.model.classifier import Model


class Explain(Protocol):
    """Says which parts of an image speak for pneumonia."""

    def __call__(self, model: Model, image: Radiograph) -> NDArray[np.float32] | None:
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
    "grad-cam++": Method("Grad-CAM++", "pneumoscope.explain.methods:grad_cam_plus_plus"),
}
DEFAULT_METHOD: Final = "grad-cam"


def in_graph_grad_cam(model: Model, image: Radiograph) -> NDArray[np.float32] | None:
    """Grad-CAM of the pneumonia logit, as the model's own graph computes it.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, doi 10.1109/ICCV.2017.74.
    """
    return model.predict_image(image).heatmap


def grad_cam_plus_plus(model: Model, image: Radiograph) -> NDArray[np.float32] | None:
    """Grad-CAM++ of the pneumonia logit, from the numbers that the model's own graph computes.

    Source: see :func:`pneumoscope.explain.cams.grad_cam_plus_plus`.

    Raises:
        ModelError: the model's heatmap is not made of maps and weights in the way that is known.
    """
    from pneumoscope.explain import cams
    from pneumoscope.imaging.resize import shrink

    if model.predict_image(image).heatmap is None:
        return None
    small = shrink(image.pixels, width=model.contract.input_width, height=model.contract.input_height)
    return cams.grad_cam_plus_plus(_opened(model.graph)(small))


@functools.lru_cache(maxsize=1)
def _opened(graph: bytes) -> OpenedGraph:
    """Taking a graph apart takes longer than running it."""
    from pneumoscope.explain.graph_surgery import Flatbuffer, OpenedGraph

    return OpenedGraph(Flatbuffer(graph).packed())
