"""The picture of one record: the radiograph, where the model looked, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumoscope.drawing import score_bar
from pneumoscope.drawing.heatmap import colourise, overlay
from pneumoscope.drawing.png import encode_png
from pneumoscope.imaging.radiograph import PROGRAM, Radiograph
from pneumoscope.model import wording
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Prediction

SIDE: Final = 448
"""Pixels of a panel's picture field."""

SOFTWARE: Final = PROGRAM
"""What our PNG files name in their ``Software`` field."""


@dataclass(frozen=True)
class PanelText:
    """What a panel says beside its picture.

    Attributes:
        title: what the picture is, such as its file name.
        label: the result, such as "above the operating point balanced".
        reasons: why the input was refused, or what else to know.
        notes: what is to be read before the result.
        judged: the record whose score is drawn on a bar; ``None`` for no bar.
    """

    title: str
    label: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    judged: Prediction | None = None


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
    model = prediction.model
    about = {
        "Software": SOFTWARE,
        "Disclaimer": RESEARCH_USE_ONLY,
        "Source": f"sha256:{prediction.sha256}",
        "Comment": f"{model.name} {model.version} sha256:{model.sha256}",
    }
    return encode_png(rgb, about)


def labelled_overlay(
    pixels: NDArray[np.uint8],
    heatmap: NDArray[np.floating] | None,
    text: PanelText,
    *,
    side: int = SIDE,
    bar_title: str = "Grad-CAM",
) -> NDArray[np.uint8]:
    """Draw a panel: the picture with its heatmap and colour bar, the verdict, and the research-use line.

    Args:
        pixels: ``uint8 [H, W]``, 0 to 255, of any size; drawn with its aspect ratio kept.
        heatmap: float ``[h, w]``, 0 to 1; None draws the plain picture, without a colour bar.
        text: what to write.
        side: length in pixels of the picture's square field; letters scale with it.
        bar_title: what the colour bar measures.

    Returns:
        RGB, ``uint8 [height, width, 3]``. Panels of the same ``side`` have the same width.
    """
    return np.asarray(_panel_of(side).draw(pixels, heatmap, text, bar_title))


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Line = tuple[str, _Font, tuple[int, int, int]]
_BAR: Final = "\0bar"
"""Stands among the lines where the score's bar is drawn."""


_BACKGROUND, _FOREGROUND, _QUIET = (16, 18, 22), (240, 242, 245), (175, 180, 188)


class _Panel:
    """Geometry and drawing of one panel; all lengths follow from the picture's side."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.margin = max(8, side // 32)
        self.bar_width = max(10, side // 24)
        self.body = ImageFont.load_default(max(11, side // 28))
        self.head = ImageFont.load_default(max(16, side // 17))
        # Room right of the picture for the bar and its tick labels.
        self.width = side + 4 * self.margin + self.bar_width + int(self.body.getlength("0.75"))

    def draw(
        self, pixels: NDArray[np.uint8], heatmap: NDArray[np.floating] | None, text: PanelText, bar_title: str
    ) -> Image.Image:
        lines = self._lines(text)
        title_height = self._height(self.body) + self.margin
        text_height = sum(score_bar.height_of(font) if line == _BAR else self._height(font) for line, font, _ in lines)
        height = title_height + self.side + 3 * self.margin + text_height
        panel = Image.new("RGB", (self.width, height), _BACKGROUND)
        draw = ImageDraw.Draw(panel)
        title = self._elide(text.title, bar_title if heatmap is not None else "")
        _write(panel, (self.margin, self.margin), title, self.body, _FOREGROUND)
        top = title_height + self.margin // 2
        panel.paste(*self._picture(pixels, heatmap, top))
        if heatmap is not None:
            self._draw_bar(panel, top, bar_title)
        y = top + self.side + self.margin
        for line, font, colour in lines:
            if line == _BAR and text.judged is not None:
                score_bar.draw(draw, text.judged, (2 * self.margin, y, self.width - 4 * self.margin), font)
                y += score_bar.height_of(font)
                continue
            _write(panel, (self.margin, y), line, font, colour)
            y += self._height(font)
        return panel

    def _picture(
        self, pixels: NDArray[np.uint8], heatmap: NDArray[np.floating] | None, top: int
    ) -> tuple[Image.Image, tuple[int, int]]:
        """The picture, fitted into its square field, and where its corner goes."""
        height, width = pixels.shape
        scale = self.side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        # For the eye only: what the model sees is made by imaging.resize.
        fitted = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0))
        picture = Image.fromarray(fitted if heatmap is None else overlay(fitted, heatmap)).convert("RGB")
        return picture, (self.margin + (self.side - size[0]) // 2, top + (self.side - size[1]) // 2)

    def _draw_bar(self, panel: Image.Image, top: int, title: str) -> None:
        room = self.width - self.margin - _letters(title, self.body).width
        _write(panel, (room, self.margin), title, self.body, _FOREGROUND)
        panel.paste(self._bar, (self.side + 2 * self.margin, top))

    @cached_property
    def _bar(self) -> Image.Image:
        """The colour bar with its tick labels: the same on every panel."""
        bar = Image.new("RGB", (self.width - self.side - 2 * self.margin, self.side), _BACKGROUND)
        draw = ImageDraw.Draw(bar)
        ramp = np.linspace(1, 0, self.side)[:, None].repeat(self.bar_width, axis=1)
        bar.paste(Image.fromarray(np.rint(colourise(ramp)).astype(np.uint8)), (0, 0))
        for value in (0.0, 0.25, 0.5, 0.75, 1.0):
            where = (self.bar_width + self.margin // 2, (1 - value) * (self.side - 1))
            anchor = {0.0: "ls", 1.0: "lt"}.get(value, "lm")
            draw.text(where, f"{value:.2g}", _FOREGROUND, self.body, anchor=anchor)
        return bar

    def _lines(self, text: PanelText) -> list[_Line]:
        lines: list[_Line] = []
        for note in text.notes:
            note = f"{wording.words()['notes_title']}: {note}"
            lines += [(line, self.body, _FOREGROUND) for line in self._wrap(note, self.body)]
        lines += [(line, self.head, _FOREGROUND) for line in self._wrap(text.label, self.head)]
        if text.judged is not None:
            line = wording.score_line(text.judged)
            lines += [(part, self.body, _FOREGROUND) for part in self._wrap(line, self.body)]
            lines.append((_BAR, self.body, _FOREGROUND))
        lines += [(line, self.body, _FOREGROUND) for reason in text.reasons for line in self._wrap(reason, self.body)]
        lines += [(line, self.body, _QUIET) for line in self._wrap(RESEARCH_USE_ONLY, self.body)]
        return lines

    def _wrap(self, text: str, font: _Font) -> tuple[str, ...]:
        return _wrapped(text, font, self.width - 2 * self.margin)

    def _elide(self, title: str, neighbour: str) -> str:
        """Shorten a title to the room left of ``neighbour``; the end of a path tells more than its start."""
        room = self.width - 3 * self.margin - self.body.getlength(neighbour)
        if self.body.getlength(title) <= room:
            return title
        # The first start from which the rest fits; halving, since measuring letters takes long.
        low, high = 1, max(1, len(title) - 1)
        while low < high:
            middle = (low + high) // 2
            if self.body.getlength("…" + title[middle:]) > room:
                low = middle + 1
            else:
                high = middle
        return "…" + title[low:]

    @staticmethod
    def _height(font: _Font) -> int:
        return _line_height(font)


@lru_cache(maxsize=8)
def _panel_of(side: int) -> _Panel:
    return _Panel(side)


@lru_cache(maxsize=32)
def _line_height(font: _Font) -> int:
    """The distance from one line to the next, in pixels."""
    return round(1.35 * (font.getbbox("Ág")[3]))


@lru_cache(maxsize=512)
def _wrapped(text: str, font: _Font, room: float) -> tuple[str, ...]:
    """Break text into lines that fit; a word longer than a line is broken too."""
    if font.getlength(text) <= room:
        return (" ".join(text.split()),)
    lines, line = [], ""
    for word in text.split():
        wider = f"{line} {word}".strip()
        if line and font.getlength(wider) > room:
            lines.append(line)
            wider = word
        while len(wider) > 1 and font.getlength(wider) > room:
            fits = next(n for n in range(len(wider) - 1, 0, -1) if n == 1 or font.getlength(wider[:n]) <= room)
            lines.append(wider[:fits])
            wider = wider[fits:]
        line = wider
    return (*lines, line) if line else tuple(lines)


@lru_cache(maxsize=512)
def _letters(text: str, font: _Font) -> Image.Image:
    """A line as a mask: most lines of a folder's pictures are the same, and drawing letters takes long."""
    _, _, width, height = font.getbbox(text)
    mask = Image.new("L", (max(1, int(width)), max(1, int(height))))
    ImageDraw.Draw(mask).text((0, 0), text, 255, font)
    return mask


def _write(panel: Image.Image, where: tuple[int, int], text: str, font: _Font, colour: tuple[int, int, int]) -> None:
    panel.paste(colour, where, _letters(text, font))
