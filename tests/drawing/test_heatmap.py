from __future__ import annotations

import dataclasses
from io import BytesIO

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from pneumoscope.drawing import score_bar
from pneumoscope.drawing.heatmap import colourise, overlay
from pneumoscope.drawing.panel import PanelText, labelled_overlay
from pneumoscope.drawing.png import encode_png
from pneumoscope.model.prediction import ModelInfo, Prediction, Scale, Status
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


JUDGED = Prediction(
    path="chest.png",
    sha256="0" * 64,
    status=Status.OK,
    threshold=0.5,
    operating_point="balanced",
    model=ModelInfo("m", "1", "0" * 64),
    label="PNEUMONIA",
    probability=0.973,
    scale=Scale({"balanced": 0.5, "high_sensitivity": 0.2}, (0.3, 0.7)),
)
TEXT = PanelText("chest.png", "above the operating point balanced", judged=JUDGED)


def test_panel_holds_picture_bar_and_text() -> None:
    pixels = chest_phantom((300, 200))
    panel = labelled_overlay(pixels, np.zeros((7, 7)), TEXT, side=320)
    assert panel.shape[0] > 320 and panel.shape[1] > 320
    # The colour bar runs from the hottest colour above to the coldest below.
    hot, cold = (np.rint(colourise(np.array(value))) for value in (1.0, 0.0))
    rows = [np.argwhere((panel == colour).all(axis=2))[:, 0] for colour in (hot, cold)]
    assert rows[0].size and rows[1].size and rows[1].min() - rows[0].max() > 300
    # The verdict differs from another verdict only below the picture.
    other = labelled_overlay(
        pixels, np.zeros((7, 7)), PanelText("chest.png", "below the operating point balanced"), side=320
    )
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


def test_notes_stand_above_the_result_and_no_colour_says_healthy_or_ill() -> None:
    pixels = chest_phantom(200)
    plain = labelled_overlay(pixels, None, TEXT, side=256)
    noted = labelled_overlay(pixels, None, dataclasses.replace(TEXT, notes=("the header says 64 years",)), side=256)
    added = noted.shape[0] - plain.shape[0]
    assert added > 0
    # What stood below the picture is pushed down by the note, and unchanged.
    assert (noted[-100:] == plain[-100:]).all()
    # Greys, if bluish ones: of green and red there is none.
    assert (plain.max(axis=2).astype(int) - plain.min(axis=2)).max() < 30


def test_the_bar_shows_score_points_and_band() -> None:
    drawn = score_bar.svg(JUDGED)
    assert drawn.count('class="point"') == 2
    assert 'class="band" x="120.0"' in drawn and 'width="160.0"' in drawn
    assert 'cx="389.2"' in drawn
    assert "score 0.973; operating point balanced at 0.500; operating point high_sensitivity at 0.200" in drawn
    without = dataclasses.replace(JUDGED, scale=None)
    assert 'class="band"' not in score_bar.svg(without) and score_bar.svg(without).count('class="point"') == 1


def test_png_is_lossless() -> None:
    panel = labelled_overlay(chest_phantom(200), np.eye(7), TEXT, side=200)
    assert (np.asarray(Image.open(BytesIO(encode_png(panel)))) == panel).all()
