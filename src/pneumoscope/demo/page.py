"""The demo's page: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from io import BytesIO
from itertools import groupby
from string import Template
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumoscope.demo.cases import Case
from pneumoscope.drawing import score_bar
from pneumoscope.drawing.heatmap import PLASMA, overlay
from pneumoscope.drawing.png import data_uri
from pneumoscope.imaging.radiograph import Radiograph
from pneumoscope.model import wording
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Prediction, Status

PICTURE_SIDE: Final = 448
"""Pixels of the longer side of a picture on the page."""

_CARD: Final = Template("""\
<article>
<h3>$title</h3>
<div class="pictures">$pictures</div>
$notes
<p class="verdict">$verdict</p>
$details
<p class="quiet">$facts</p>
</article>""")


def render(cases: Sequence[Case], model: Model) -> str:
    """Write the page.

    Args:
        cases: judged by ``model``, those of one group together.
        model: what judged.
    """
    page = Template((resources.files("pneumoscope.demo") / "page.html").read_text("utf-8"))
    return page.substitute(
        colours=", ".join(f"rgb({red} {green} {blue})" for red, green, blue in PLASMA),
        research_use_only=RESEARCH_USE_ONLY,
        intended_use=escape(model.contract.intended_use.removeprefix(RESEARCH_USE_ONLY).strip()),
        model=escape(f"Model {model.info.name} {model.info.version}"),
        meaning=escape(wording.meaning_of_score(model.contract)),
        heatmap=escape(wording.heatmap_notice()),
        bar_style=score_bar.STYLE,
        light=score_bar.palette("light"),
        dark=score_bar.palette("dark"),
        summary="\n".join(_summary(group, members) for group, members in _grouped(cases)),
        groups="\n".join(_section(group, members) for group, members in _grouped(cases)),
        sha256=model.info.sha256,
    )


def _grouped(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    for group, members in groupby(cases, key=lambda case: case.source.group):
        yield group, list(members)


def _summary(group: str, cases: Sequence[Case]) -> str:
    counts = [sum(case.prediction.status is status for case in cases) for status in Status]
    right = f"{sum(case.as_expected for case in cases)} of {len(cases)}"
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in (group, *counts, right)) + "</tr>"


def _section(group: str, cases: Sequence[Case]) -> str:
    cards = "\n".join(_card(case) for case in cases)
    return f'<section>\n<h2>{escape(group)}</h2>\n<div class="cases">\n{cards}\n</div>\n</section>'


def _card(case: Case) -> str:
    prediction = case.prediction
    facts = [str(case.source.expected)]
    if case.image is not None:
        facts.append(f"{case.image.format.value}, {case.image.width} x {case.image.height} pixels")
    if prediction.typicality is not None:
        facts.append(f"typicality {prediction.typicality:.2f}")
    return _CARD.substitute(
        title=escape(case.source.title),
        pictures="".join(_pictures(case.image, prediction)),
        notes=_notes(prediction),
        verdict=escape(wording.result(prediction)),
        details=_score(prediction) if prediction.probability is not None else _reasons(prediction),
        facts=escape("; ".join(facts)),
    )


def _notes(prediction: Prediction) -> str:
    title = wording.words()["notes_title"]
    return "".join(f'<p class="note"><b>{escape(title)}:</b> {escape(note)}</p>' for note in prediction.notes)


def _score(prediction: Prediction) -> str:
    return f"<p>{escape(wording.score_line(prediction))}</p>\n{score_bar.svg(prediction)}"


def _reasons(prediction: Prediction) -> str:
    return "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in prediction.reasons) + "</ul>"


def _pictures(image: Radiograph | None, prediction: Prediction) -> Iterator[str]:
    if image is None:
        return
    picture = Image.fromarray(image.pixels)
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture)
    yield _figure(pixels, "Input", prediction.path)
    if prediction.heatmap is not None:
        yield _figure(overlay(pixels, prediction.heatmap), "Where the model looked", prediction.path)


def _figure(pixels: NDArray[np.uint8], caption: str, title: str) -> str:
    # JPEG keeps a page of 34 cases near 2 MB; nothing is computed from these pictures.
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    uri = data_uri(buffer.getvalue(), "image/jpeg")
    alt = escape(f"{caption}: {title}")
    return f'<figure><img src="{uri}" alt="{alt}"><figcaption>{caption}</figcaption></figure>'
