"""A score on a bar from 0 to 1 with every operating point and the band in which the model does not know.

Neutral greys only, from ``model/wording.json``: no colour says that a patient is healthy or ill.
"""

from __future__ import annotations

from html import escape
from typing import Final

from PIL import ImageColor, ImageDraw, ImageFont

from pneumoscope.model import wording
from pneumoscope.model.prediction import Prediction

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

STYLE: Final = """\
.score-bar { display: block; width: 100%; height: auto; overflow: visible; }
.score-bar .bar { fill: var(--bar); } .score-bar .band { fill: var(--band); } .score-bar .score { fill: var(--score); }
.score-bar .point { stroke: var(--point); }
.score-bar text { fill: var(--scale-text); font: 11px system-ui, sans-serif; }
"""
"""CSS of :func:`svg`; its colours are those of :func:`palette`."""


def palette(theme: str) -> str:
    """The bar's colours as CSS variables.

    Args:
        theme: ``light`` or ``dark``.
    """
    names = {"bar": "bar", "band": "band", "score": "score", "point": "point", "text": "scale-text"}
    colours = wording.words()["colours"][theme]
    return " ".join(f"--{names[key]}: {value};" for key, value in colours.items())


def description(prediction: Prediction) -> str:
    """What the bar shows, in words, for those who do not see it."""
    parts = [wording.score_line(prediction)]
    if prediction.scale is not None:
        parts += [
            wording.say("operating_point_at", name=name, threshold=wording.score(threshold))
            for name, threshold in sorted(prediction.scale.points.items())
            if name != prediction.operating_point
        ]
        if prediction.scale.band is not None:
            lower, upper = prediction.scale.band
            parts.append(wording.say("uncertain_band", lower=wording.score(lower), upper=wording.score(upper)))
    return "; ".join(parts)


def svg(prediction: Prediction) -> str:
    """The bar of a judged record as an inline SVG, 400 x 46 units; :data:`STYLE` colours it."""
    assert prediction.probability is not None
    width, top, height = 400, 8, 10
    parts = [f'<rect class="bar" x="0" y="{top}" width="{width}" height="{height}" rx="3"/>']
    scale = prediction.scale
    if scale is not None and scale.band is not None:
        lower, upper = (end * width for end in scale.band)
        parts.append(f'<rect class="band" x="{lower:.1f}" y="{top}" width="{upper - lower:.1f}" height="{height}"/>')
    points = {prediction.operating_point: prediction.threshold} if scale is None else scale.points
    for name, threshold in points.items():
        chosen = name == prediction.operating_point
        x, ends = threshold * width, (top - 5, top + height + 5) if chosen else (top, top + height)
        parts.append(
            f'<line class="point" x1="{x:.1f}" x2="{x:.1f}" y1="{ends[0]}" y2="{ends[1]}" '
            f'stroke-width="{2 if chosen else 1}"><title>{escape(name)} {threshold:.3f}</title></line>'
        )
    middle = prediction.probability * width
    parts.append(f'<circle class="score" cx="{middle:.1f}" cy="{top + height / 2}" r="7"/>')
    x = min(max(prediction.threshold * width, 40), width - 40)
    parts.append(
        f'<text x="0" y="40">0</text><text x="{width}" y="40" text-anchor="end">1</text>'
        f'<text x="{x:.1f}" y="40" text-anchor="middle">{escape(prediction.operating_point)} '
        f"{wording.score(prediction.threshold)}</text>"
    )
    return (
        f'<svg class="score-bar" viewBox="0 0 {width} 46" role="img" aria-label="{escape(description(prediction))}">'
        f"{''.join(parts)}</svg>"
    )


def height_of(font: Font) -> int:
    """Pixels that :func:`draw` needs with a font."""
    return round(2.6 * font.getbbox("Ág")[3])


def draw(canvas: ImageDraw.ImageDraw, prediction: Prediction, box: tuple[int, int, int], font: Font) -> None:
    """Draw the bar of a judged record on a dark picture.

    Args:
        canvas: of an RGB picture.
        prediction: the record.
        box: left, top and width in pixels; the height is :func:`height_of`.
        font: of the numbers below it.
    """
    assert prediction.probability is not None
    left, top, width = box
    line = font.getbbox("Ág")[3]
    colours = {key: ImageColor.getrgb(value) for key, value in wording.words()["colours"]["dark"].items()}
    bar_top, bar_bottom = top + round(0.35 * line), top + round(0.95 * line)
    canvas.rectangle((left, bar_top, left + width, bar_bottom), colours["bar"])
    scale = prediction.scale
    if scale is not None and scale.band is not None:
        lower, upper = (left + end * width for end in scale.band)
        canvas.rectangle((lower, bar_top, upper, bar_bottom), colours["band"])
    points = {prediction.operating_point: prediction.threshold} if scale is None else scale.points
    for name, threshold in points.items():
        chosen = name == prediction.operating_point
        reach = round(0.25 * line) if chosen else 0
        x = left + threshold * width
        canvas.line((x, bar_top - reach, x, bar_bottom + reach), colours["point"], 2 if chosen else 1)
    x, radius = left + prediction.probability * width, 0.42 * line
    y = (bar_top + bar_bottom) / 2
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), colours["score"], (16, 18, 22))
    below = bar_bottom + round(0.45 * line)
    label = f"{prediction.operating_point} {wording.score(prediction.threshold)}"
    room = canvas.textlength(label, font) / 2 + canvas.textlength("0 ", font)
    canvas.text((left, below), "0", colours["text"], font)
    canvas.text((left + width, below), "1", colours["text"], font, anchor="ra")
    middle = min(max(left + prediction.threshold * width, left + room), left + width - room)
    canvas.text((middle, below), label, colours["text"], font, anchor="ma")
