"""The picture of one record: the radiograph, where the model looked, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pneumoscope.drawing.heatmap import PanelText, labelled_overlay
from pneumoscope.imaging.radiograph import PROGRAM, Radiograph
from pneumoscope.model import wording
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Prediction

SIDE: Final = 512
"""Pixels of a panel's picture field."""

SOFTWARE: Final = PROGRAM
"""What our PNG files name in their ``Software`` field."""


def panel(
    prediction: Prediction,
    image: Radiograph,
    heatmap: NDArray[np.float32] | None,
    *,
    method: str = "Grad-CAM",
    title: str | None = None,
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """Draw a record as a panel.

    Args:
        prediction: what the model says.
        image: what it says it about.
        heatmap: ``float32 [h, w]``, 0 to 1; ``None`` draws the plain radiograph.
        method: what made the heatmap, beside the colour bar.
        title: over the picture; the record's path by default.
        side: pixels of the picture field.

    Returns:
        RGB, ``uint8 [height, width, 3]``.
    """
    text = PanelText(
        title=title or prediction.path,
        label=wording.result(prediction),
        reasons=(*prediction.reasons, *_meaning(prediction), *(() if heatmap is None else (wording.heatmap_notice(),))),
        notes=prediction.notes,
        judged=None if prediction.probability is None else prediction,
    )
    return labelled_overlay(image.pixels, heatmap, text, side=side, bar_title=method)


def _meaning(prediction: Prediction) -> tuple[str, ...]:
    return () if prediction.post_test is None else wording.post_test(prediction.post_test)


def side_by_side(
    prediction: Prediction, image: Radiograph, heatmaps: Mapping[str, NDArray[np.float32]], *, title: str | None = None
) -> NDArray[np.uint8]:
    """Draw one record once for each heatmap, in a row.

    Args:
        prediction: what the model says.
        image: what it says it about.
        heatmaps: ``float32 [h, w]``, 0 to 1, by the name of what made them; at least one.
        title: over each picture; the record's path by default.

    Returns:
        RGB, ``uint8 [height, width, 3]``.
    """
    drawn = [panel(prediction, image, heat, method=method, title=title) for method, heat in heatmaps.items()]
    return np.concatenate(drawn, axis=1)


def panel_png(rgb: NDArray[np.uint8], prediction: Prediction) -> bytes:
    """Encode a panel as PNG that says what made it, from which file (by hash) and what it is not."""
    about = PngInfo()
    about.add_text("Software", SOFTWARE)
    about.add_text("Disclaimer", RESEARCH_USE_ONLY)
    about.add_text("Source", f"sha256:{prediction.sha256}")
    about.add_text("Comment", f"{prediction.model.name} {prediction.model.version} sha256:{prediction.model.sha256}")
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()
