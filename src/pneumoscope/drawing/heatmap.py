"""Heatmaps over radiographs, and the labelled panel that people look at.

The colour map is *plasma* (Nathaniel J. Smith and Stéfan van der Walt, 2015, CC0; matplotlib's default family):
perceptually uniform, rising in lightness, readable with red-green colour blindness, and at no point grey, so that it
stands out from the radiograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumoscope.drawing import score_bar
from pneumoscope.model import wording
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Prediction

OPACITY: Final = 0.65
"""Opacity of the hottest spot; it falls in proportion to the heat, so cold regions stay a plain radiograph."""

# Every 16th colour of plasma, and the last; linear between them is within 3 of 255 of the full table.
PLASMA: Final = (
    (13, 8, 135),
    (49, 5, 151),
    (76, 2, 161),
    (102, 0, 167),
    (126, 3, 168),
    (149, 17, 161),
    (170, 35, 149),
    (188, 53, 135),
    (204, 71, 120),
    (217, 88, 106),
    (229, 107, 93),
    (240, 127, 79),
    (248, 148, 65),
    (253, 171, 51),
    (253, 195, 40),
    (249, 221, 37),
    (240, 249, 33),
)


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


def colourise(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colour values 0..1 of any shape ``[...]`` by plasma: ``float32 [..., 3]``, 0 to 255."""
    anchors = np.array(PLASMA, np.float32)
    where = np.clip(heat, 0, 1) * (len(anchors) - 1)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def overlay(pixels: NDArray[np.uint8], heatmap: NDArray[np.floating], *, opacity: float = OPACITY) -> NDArray[np.uint8]:
    """Lay a heatmap over a radiograph.

    Args:
        pixels: ``uint8 [H, W]``, 0 to 255.
        heatmap: float ``[h, w]``, 0 to 1, of any size; upsampled bilinearly to the radiograph.
        opacity: of the hottest spot, 0 to 1.

    Returns:
        RGB, ``uint8 [H, W, 3]``.

    Raises:
        ValueError: if an array has another shape, or the heatmap leaves 0..1.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 [H, W], got {pixels.dtype} {list(pixels.shape)}")
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise ValueError(f"heatmap must be [h, w], got {list(heatmap.shape)}")
    # Written so that NaN fails too; the slack is for float16 and quantised heatmaps.
    if not (heatmap.min() >= -1e-3 and heatmap.max() <= 1 + 1e-3):
        raise ValueError(f"heatmap must lie within 0..1, got {heatmap.min()}..{heatmap.max()}")
    small = Image.fromarray(np.clip(heatmap, 0, 1).astype(np.float32))
    heat = np.asarray(small.resize(pixels.shape[::-1], Image.Resampling.BILINEAR))
    weight = (opacity * heat)[..., None]
    mixed = (1 - weight) * pixels[..., None] + weight * colourise(heat)
    return np.rint(mixed).astype(np.uint8)


def labelled_overlay(
    pixels: NDArray[np.uint8],
    heatmap: NDArray[np.floating] | None,
    text: PanelText,
    *,
    side: int = 512,
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
    return np.asarray(_Panel(side).draw(pixels, heatmap, text, bar_title))


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Encode RGB ``uint8 [H, W, 3]`` or grey ``uint8 [H, W]`` as PNG."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


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
        draw.text(
            (self.margin, self.margin),
            self._elide(text.title, bar_title if heatmap is not None else ""),
            _FOREGROUND,
            self.body,
        )
        top = title_height + self.margin // 2
        panel.paste(*self._picture(pixels, heatmap, top))
        if heatmap is not None:
            self._draw_bar(panel, draw, top, bar_title)
        y = top + self.side + self.margin
        for line, font, colour in lines:
            if line == _BAR and text.judged is not None:
                score_bar.draw(draw, text.judged, (2 * self.margin, y, self.width - 4 * self.margin), font)
                y += score_bar.height_of(font)
                continue
            draw.text((self.margin, y), line, colour, font)
            y += self._height(font)
        return panel

    def _picture(
        self, pixels: NDArray[np.uint8], heatmap: NDArray[np.floating] | None, top: int
    ) -> tuple[Image.Image, tuple[int, int]]:
        """The picture, fitted into its square field, and where its corner goes."""
        height, width = pixels.shape
        scale = self.side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        # For the eye only: what the model sees is made by preprocess.shrink.
        fitted = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        picture = Image.fromarray(fitted if heatmap is None else overlay(fitted, heatmap)).convert("RGB")
        return picture, (self.margin + (self.side - size[0]) // 2, top + (self.side - size[1]) // 2)

    def _draw_bar(self, panel: Image.Image, draw: ImageDraw.ImageDraw, top: int, title: str) -> None:
        left = self.side + 2 * self.margin
        title_width = draw.textlength(title, self.body)
        draw.text((self.width - self.margin - title_width, self.margin), title, _FOREGROUND, self.body)
        ramp = np.linspace(1, 0, self.side)[:, None].repeat(self.bar_width, axis=1)
        panel.paste(Image.fromarray(np.rint(colourise(ramp)).astype(np.uint8)), (left, top))
        x = left + self.bar_width + self.margin // 2
        for value in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = top + (1 - value) * (self.side - 1)
            anchor = {0.0: "ls", 1.0: "lt"}.get(value, "lm")
            draw.text((x, y), f"{value:.2g}", _FOREGROUND, self.body, anchor=anchor)

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

    def _wrap(self, text: str, font: _Font) -> list[str]:
        """Break text into lines that fit the panel; a word longer than a line is broken too."""
        room = self.width - 2 * self.margin
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
        return [*lines, line] if line else lines

    def _elide(self, title: str, neighbour: str) -> str:
        """Shorten a title to the room left of ``neighbour``; the end of a path tells more than its start."""
        room = self.width - 3 * self.margin - self.body.getlength(neighbour)
        if self.body.getlength(title) <= room:
            return title
        while len(title) > 1 and self.body.getlength("…" + title) > room:
            title = title[1:]
        return "…" + title

    @staticmethod
    def _height(font: _Font) -> int:
        """The distance from one line to the next, in pixels."""
        return round(1.35 * (font.getbbox("Ág")[3]))
