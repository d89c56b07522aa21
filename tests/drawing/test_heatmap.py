from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from pneumoscope.drawing.heatmap import PanelText, colourise, encode_png, labelled_overlay, overlay
from support.phantom import chest_phantom


def test_colours_are_matplotlibs_plasma() -> None:
    values = np.linspace(0, 1, 256)
    expected = np.array(colormaps["plasma"](values))[:, :3] * 255
    assert np.abs(colourise(values) - expected).max() <= 5


def test_colours_rise_in_lightness() -> None:
    luma = colourise(np.linspace(0, 1, 64)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > 0).all()


def test_a_cold_heatmap_leaves_the_radiograph() -> None:
    pixels = chest_phantom(200)
    painted = overlay(pixels, np.zeros((7, 7)))
    assert painted.shape == (200, 200, 3) and painted.dtype == np.uint8
    assert (painted == pixels[..., None]).all()


def test_heat_lands_where_the_heatmap_says() -> None:
    heatmap = np.zeros((8, 8))
    heatmap[1, 6] = 1
    painted = overlay(np.full((160, 320), 128, np.uint8), heatmap).astype(int)
    changed = np.abs(painted - 128).sum(axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    # The centre of cell (1, 6) of 8 x 8.
    assert abs(row - 30) <= 1 and abs(column - 260) <= 1
    assert changed[80:, :].max() == 0 and changed[:, :160].max() == 0


def test_opacity_mixes_linearly() -> None:
    pixels = np.full((4, 4), 100, np.uint8)
    hottest = colourise(np.ones(1))[0]
    assert np.allclose(overlay(pixels, np.ones((2, 2)), opacity=0.5)[0, 0], (hottest + 100) / 2, atol=0.51)
    assert np.allclose(overlay(pixels, np.ones((2, 2)), opacity=1)[0, 0], hottest, atol=0.51)


@pytest.mark.parametrize("heatmap", [np.full((2, 2), np.nan), np.full((2, 2), 1.5), np.zeros((1, 2, 2))])
def test_refuses_what_is_not_a_heatmap(heatmap: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(ValueError, match="heatmap"):
        overlay(chest_phantom(128), heatmap)


TEXT = PanelText("chest.png", "PNEUMONIA", 0.973, 0.412, "balanced")


def test_panel_holds_picture_bar_and_text() -> None:
    pixels = chest_phantom((300, 200))
    panel = labelled_overlay(pixels, np.zeros((7, 7)), TEXT, side=320)
    assert panel.shape[0] > 320 and panel.shape[1] > 320
    # The colour bar runs from the hottest colour above to the coldest below.
    hot, cold = (np.rint(colourise(np.array(value))) for value in (1.0, 0.0))
    rows = [np.argwhere((panel == colour).all(axis=2))[:, 0] for colour in (hot, cold)]
    assert rows[0].size and rows[1].size and rows[1].min() - rows[0].max() > 300
    # The verdict differs from another verdict only below the picture.
    other = labelled_overlay(pixels, np.zeros((7, 7)), PanelText("chest.png", "NORMAL", 0.02), side=320)
    assert (panel[:320] == other[:320]).all()
    assert (panel[320 : other.shape[0]] != other[320:]).any()


def test_panel_without_heatmap_is_grey_but_for_the_background() -> None:
    panel = labelled_overlay(chest_phantom(200), None, PanelText("x.png", "REFUSED", reasons=("blank",)))
    spread = panel.max(axis=2).astype(int) - panel.min(axis=2)
    assert spread.max() < 20


def test_panels_of_one_side_have_one_width_and_wrap_long_text() -> None:
    pixels = chest_phantom(200)
    short = labelled_overlay(pixels, np.zeros((7, 7)), TEXT, side=256)
    long = PanelText("folder/" * 40 + "x.png", "REFUSED", reasons=("why " * 60, "w" * 300))
    tall = labelled_overlay(pixels, None, long, side=256)
    assert tall.shape[1] == short.shape[1] and tall.shape[0] > short.shape[0] + 100
    # Nothing is cut off at the right: the margin stays empty.
    assert (tall[:, -4:] == tall[0, 0]).all()


def test_png_is_lossless() -> None:
    panel = labelled_overlay(chest_phantom(200), np.eye(7), TEXT, side=200)
    assert (np.asarray(Image.open(BytesIO(encode_png(panel)))) == panel).all()
