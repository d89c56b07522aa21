"""The Gradio page: a quick way to show a model to others."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.drawing import score_bar
from pneumoscope.drawing.heatmap import OPACITY, overlay
from pneumoscope.errors import ContractError, UsageError
from pneumoscope.imaging.search import find_radiographs
from pneumoscope.model import wording
from pneumoscope.model.classifier import Model
from pneumoscope.model.contract import RESEARCH_USE_ONLY
from pneumoscope.model.prediction import Prediction
from pneumoscope.serving.pictures import fit
from pneumoscope.serving.settings import MAX_UPLOAD

EXAMPLES: Final = 6
KEPT_SECONDS: Final = 3600
"""Gradio writes uploads to a temporary folder; they are deleted after this time, and the folder in the end."""

_ENDINGS: Final = (".jpeg", ".jpg", ".png", ".dcm")


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page keeps of a judged image, to draw it again at another opacity.

    Attributes:
        pixels: ``uint8 [H, W]``, no larger than a screen needs.
        heatmap: ``float32 [h, w]``, 0 to 1; ``None`` where the image was refused.
    """

    pixels: NDArray[np.uint8]
    heatmap: NDArray[np.float32] | None

    def draw(self, opacity: float) -> NDArray[np.uint8]:
        """The overlay, ``uint8 [H, W, 3]``; the plain image, ``[H, W]``, without a heatmap."""
        return self.pixels if self.heatmap is None else overlay(self.pixels, self.heatmap, opacity=opacity)


def judge_file(
    model: Model, file: str | None, operating_point: str, prevalence: float | None = None
) -> tuple[str | None, Shown | None, str]:
    """Judge one uploaded file.

    Args:
        model: that judges.
        file: path of the upload; ``None`` where there is none.
        operating_point: name of a threshold.
        prevalence: share of the patients who have pneumonia; ``None`` or 0 for no statement about it.

    Returns:
        The score on its bar (HTML), ``None`` if not judged; what to draw, ``None`` if not read; words (Markdown).
    """
    if not file:
        return None, None, ""
    name = Path(file).name
    try:
        examined = model.examine(file, name=name, operating_point=operating_point, prevalence=prevalence or None)
    except (UsageError, ContractError) as error:
        return None, None, f"**Not judged.** {plain(str(error))}"
    result = examined.prediction
    shown = None if examined.radiograph is None else Shown(fit(examined.radiograph.pixels), result.heatmap)
    if result.probability is None:
        return None, shown, f"**{wording.result(result)}.** " + plain("; ".join((*result.reasons, *result.notes)))
    return _bar(result), shown, _describe(result, model)


_MARKS: Final = re.compile(r"[\\`*_\[\]#!|<>&~$]|:(?=//)|(?<=www)\.|@")


def plain(text: str) -> str:
    """Text of a file or its header as Markdown that shows it letter by letter: no link, picture or tag in it."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(text.split()))


def _bar(result: Prediction) -> str:
    dark = f"@media (prefers-color-scheme: dark) {{ .score-bar {{ {score_bar.palette('dark')} }} }}"
    style = f"<style>.score-bar {{ {score_bar.palette('light')} }} {dark} {score_bar.STYLE}</style>"
    return f"{style}<p>{wording.score_line(result)}</p>{score_bar.svg(result)}"


def _describe(result: Prediction, model: Model) -> str:
    """Notes first, then the result, then what it means."""
    parts = [f"**{wording.words()['notes_title']}:** {plain(note)}" for note in result.notes]
    parts.append(f"### {wording.result(result)}")
    parts.append(wording.meaning_of_score(model.contract))
    if result.post_test is not None:
        parts.append("; ".join(wording.post_test(result.post_test)))
    more = [f"Typicality {result.typicality:.2f}."]
    if result.subtype:
        told = ", ".join(f"{key.lower()} {wording.share(value)}" for key, value in result.subtype.items())
        more.append(f"Subtype: {told}.")
    return "\n\n".join([*parts, " ".join(more), wording.heatmap_notice()])


def build(model: Model, examples: list[Path] | None = None) -> Any:
    """The page as ``gradio.Blocks``."""
    # Before the import: Gradio reads it then. Nothing is reported to anybody.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import gradio

    def judge(path: str | None, point: str, opacity: float, prevalence: float | None = None) -> Any:
        bar, shown, words = judge_file(model, path, point, prevalence)
        return bar, draw(shown, opacity), words, shown

    def draw(shown: Shown | None, opacity: float) -> Any:
        return None if shown is None else shown.draw(opacity)

    contract = model.contract
    use = contract.intended_use.removeprefix(RESEARCH_USE_ONLY).strip()
    with gradio.Blocks(
        title="Pneumoscope", analytics_enabled=False, delete_cache=(KEPT_SECONDS // 4, KEPT_SECONDS)
    ) as page:
        gradio.Markdown(f"# Pneumoscope\n**{RESEARCH_USE_ONLY}** {use}")
        with gradio.Row():
            with gradio.Column():
                file = gradio.File(label="Radiograph (image or DICOM)", type="filepath", file_count="single")
                point = gradio.Dropdown(
                    sorted(contract.operating_points), value=contract.default_operating_point, label="Operating point"
                )
                opacity = gradio.Slider(0, 1, value=OPACITY, step=0.05, label="Heatmap opacity")
                # A model that does not say what its scores refer to cannot turn them into another prevalence.
                prevalence = gradio.Number(
                    label="Share of your patients who have pneumonia, 0 to 1 (optional)",
                    visible=contract.prevalence is not None,
                    value=None,
                )
                if examples:
                    gradio.Examples([str(path) for path in examples], file, cache_examples=False)
            with gradio.Column():
                words = gradio.Markdown()  # first, so that a refusal is seen without scrolling
                bar = gradio.HTML(label="Score")
                # Its third button, left out, would send the picture to a public site.
                buttons = ["download", "fullscreen"]
                picture = gradio.Image(label="Where the model looked", type="numpy", format="png", buttons=buttons)
        shown = gradio.State()
        inputs, outputs = [file, point, opacity, prevalence], [bar, picture, words, shown]
        file.change(judge, inputs, outputs, api_name="judge")
        point.change(judge, inputs, outputs, api_visibility="private")
        prevalence.submit(judge, inputs, outputs, api_visibility="private")
        opacity.change(
            draw,
            [shown, opacity],
            picture,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )
    return page


def find_examples(data: Path) -> list[Path]:
    """A few files of a data folder, spread over it."""
    found, _ = find_radiographs(data)
    files = [path for path in found if path.suffix.lower() in _ENDINGS]
    step = max(1, len(files) // EXAMPLES)
    return files[::step][:EXAMPLES]


def read_auth_file(file: Path) -> list[tuple[str, str]]:
    """User names and passwords, ``name:password``, one a line; lines that start with ``#`` are comments.

    Raises:
        UsageError: the file cannot be read, or a line is not of that form.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read ({error})") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.strip().partition(":")
        if not (name and colon and password):
            raise UsageError(f"{file}, line {number}: not 'name:password'")
        pairs.append((name, password))
    if not pairs:
        raise UsageError(f"{file}: holds no 'name:password'")
    return pairs


def launch(
    model: Model,
    *,
    host: str,
    port: int,
    data: Path | None,
    share: bool,
    auth: list[tuple[str, str]] | None = None,
    root_path: str = "",
) -> None:
    """Serve the page until interrupted.

    Args:
        model: that judges.
        host: address to listen on.
        port: to listen on.
        data: folder to take examples from.
        share: open a public link through Gradio's servers.
        auth: user names and passwords; ``None`` lets anybody in.
        root_path: that a reverse proxy serves the page at; empty for none.
    """
    # As on Ctrl+C: the server closes, and the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="pneumoscope-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build(model, find_examples(data) if data else None)
        import gradio

        page.launch(
            server_name=host,
            server_port=port or None,
            share=share,
            auth=auth,
            root_path=root_path or None,
            max_file_size=MAX_UPLOAD,
            allowed_paths=[str(data)] if data else None,
            show_error=False,
            footer_links=["api", "settings"],
            # The reader's own fonts: nothing to load, and every letter from one face.
            theme=gradio.themes.Default(
                primary_hue="cyan",
                neutral_hue="slate",
                font=["system-ui", "sans-serif"],
                font_mono=["ui-monospace", "monospace"],
            ),
        )
