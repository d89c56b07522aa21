"""The contact sheet: input and heatmap of every case on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.demo.cases import Case, dicom_samples, judge
from pneumoscope.drawing.panel import PanelText, labelled_overlay, panel
from pneumoscope.drawing.png import encode_png
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.model.classifier import Model

PANEL_SIDE: Final = 256
COLUMNS: Final = 6
GAP: Final = 8
_BACKGROUND: Final = (60, 64, 72)

_Panels = list[NDArray[np.uint8]]


def draw_sheet(cases: Sequence[Case], *, side: int = PANEL_SIDE, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Draw all cases that could be read: input and heatmap side by side, or one panel where the model refused.

    Args:
        cases: judged; at least one with an image.
        side: pixels of a panel's picture field.
        columns: panels in a row, at least 2.

    Returns:
        RGB, ``uint8 [H, W, 3]``.
    """
    rows: list[_Panels] = [[]]
    for case in cases:
        if case.image is None:
            continue
        panels = _panels(case, case.image, side)
        if len(rows[-1]) + len(panels) > columns:
            rows.append([])
        rows[-1] += panels
    return _paste(rows)


def _panels(case: Case, image: Radiograph, side: int) -> _Panels:
    verdict = panel(case.prediction, image, case.prediction.heatmap, side=side)
    if case.prediction.heatmap is None:
        return [verdict]
    facts = f"{image.format.value}, {image.width} x {image.height} pixels; {case.source.expected}"
    text = PanelText(title=case.source.title, label="Input", reasons=(facts,))
    return [labelled_overlay(image.pixels, None, text, side=side), verdict]


def _paste(rows: Sequence[_Panels]) -> NDArray[np.uint8]:
    heights = [max(drawn.shape[0] for drawn in row) + GAP for row in rows]
    width = max(sum(drawn.shape[1] + GAP for drawn in row) for row in rows) + GAP
    sheet = Image.new("RGB", (width, sum(heights) + GAP), _BACKGROUND)
    y = GAP
    for row, height in zip(rows, heights, strict=True):
        x = GAP
        for drawn in row:
            sheet.paste(Image.fromarray(drawn), (x, y))
            x += drawn.shape[1] + GAP
        y += height
    return np.asarray(sheet)


def write_sample_sheet(path: Path, model: Model) -> None:
    """Write the sheet of the two DICOM files alone, which may be published: the picture in the documentation.

    Raises:
        MissingExtraError: pydicom-data is not installed.
        PneumoscopeError: the file cannot be written.
    """
    make_folder(path.parent)
    write_atomically(path, encode_png(draw_sheet(tuple(judge(model, dicom_samples())), side=320)))
