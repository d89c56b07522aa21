"""The Gradio page: a quick way to show a model to others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumoscope.contract import RESEARCH_USE_ONLY
from pneumoscope.errors import InputError, MissingExtraError
from pneumoscope.images import read_image
from pneumoscope.model import Model
from pneumoscope.overlay import OPACITY, overlay

EXAMPLES: Final = 6
_ENDINGS: Final = (".jpeg", ".jpg", ".png", ".dcm")


def judge_file(
    model: Model, file: str | None, operating_point: str, opacity: float
) -> tuple[dict[str, float] | None, NDArray[np.uint8] | None, str]:
    """Judge one uploaded file.

    Args:
        model: that judges.
        file: path of the upload; ``None`` where none was given.
        operating_point: name of a threshold.
        opacity: of the hottest spot, 0 to 1.

    Returns:
        Confidences by label; the overlay, ``uint8 [H, W, 3]`` (the plain image, ``[H, W]``, if refused); words.
    """
    if not file:
        return None, None, "Choose an image first."
    name = Path(file).name
    try:
        image = read_image(Path(file), target=model.contract.input_width, name=name)
    except (InputError, MissingExtraError) as error:
        return None, None, f"**Not judged.** {error}"
    result = model.predict_image(image, path=name, operating_point=operating_point)
    if result.probability is None or result.heatmap is None:
        return None, image.pixels, "**Not judged.** " + "; ".join(result.reasons)
    normal, pneumonia = model.contract.labels
    words = (
        f"**{result.label}** at the operating point *{result.operating_point}* "
        f"(threshold {result.threshold:.3f}); typicality {result.typicality:.2f}."
    )
    if result.subtype:
        words += " Subtype: " + ", ".join(f"{key.lower()} {value:.0%}" for key, value in result.subtype.items()) + "."
    picture = overlay(image.pixels, result.heatmap, opacity=opacity)
    return {normal: 1 - result.probability, pneumonia: result.probability}, picture, words


def build(model: Model, examples: list[Path] | None = None) -> Any:
    """The page as ``gradio.Blocks``."""
    # Before the import: Gradio reads it then. Nothing is reported to anybody.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import gradio

    points = sorted(model.contract.operating_points)
    with gradio.Blocks(title="Pneumoscope", analytics_enabled=False) as page:
        gradio.Markdown(f"# Pneumoscope\n**{RESEARCH_USE_ONLY}** {model.contract.intended_use}")
        with gradio.Row():
            with gradio.Column():
                file = gradio.File(label="Radiograph (image or DICOM)", type="filepath", file_count="single")
                point = gradio.Dropdown(points, value=model.contract.default_operating_point, label="Operating point")
                opacity = gradio.Slider(0, 1, value=OPACITY, step=0.05, label="Heatmap opacity")
                button = gradio.Button("Judge", variant="primary")
                if examples:
                    gradio.Examples([str(path) for path in examples], file, cache_examples=False)
            with gradio.Column():
                label = gradio.Label(label="Confidence")
                picture = gradio.Image(label="Where the model looked", type="numpy", format="png")
                words = gradio.Markdown()
        inputs, outputs = [file, point, opacity], [label, picture, words]

        def judge(path: str | None, name: str, share: float) -> Any:
            return judge_file(model, path, name, share)

        button.click(judge, inputs, outputs, api_name="judge")
        file.upload(judge, inputs, outputs, api_name=False)
        opacity.release(judge, inputs, outputs, api_name=False)
        point.change(judge, inputs, outputs, api_name=False)
    return page


def find_examples(data: Path) -> list[Path]:
    """A few files of a data folder, spread over it."""
    files = sorted(path for path in data.rglob("*") if path.suffix.lower() in _ENDINGS)
    step = max(1, len(files) // EXAMPLES)
    return files[::step][:EXAMPLES]


def launch(model: Model, *, host: str, port: int, data: Path | None, share: bool) -> None:
    """Serve the page until interrupted.

    Args:
        model: that judges.
        host: address to listen on.
        port: to listen on.
        data: folder to take examples from.
        share: open a public link through Gradio's servers.
    """
    page = build(model, find_examples(data) if data else None)
    page.launch(
        server_name=host,
        server_port=port or None,
        share=share,
        max_file_size="64mb",
        allowed_paths=[str(data)] if data else None,
        show_error=False,
    )
