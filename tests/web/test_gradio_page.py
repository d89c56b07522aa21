"""What the Gradio page shows; the page itself needs the ``ui`` extra."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumoscope.web.gradio_page import find_examples, judge_file
from web_kit import StandIn


def test_a_file_is_judged_or_refused_in_words(
    model: StandIn, tmp_path: Path, ill_chest: bytes, page_of_text: bytes
) -> None:
    paths = {name: tmp_path / f"{name}.png" for name in ("ill", "text", "broken")}
    for path, content in zip(paths.values(), (ill_chest, page_of_text, b"x"), strict=True):
        path.write_bytes(content)
    confidences, picture, words = judge_file(model, str(paths["ill"]), "balanced", 0.5)
    assert confidences is not None
    assert picture is not None
    assert sum(confidences.values()) == pytest.approx(1)
    assert picture.shape == (256, 256, 3)
    assert words.startswith("**PNEUMONIA**")
    confidences, picture, words = judge_file(model, str(paths["text"]), "balanced", 0.5)
    assert confidences is None
    assert picture is not None
    assert "text.png: " in words
    assert judge_file(model, str(paths["broken"]), "balanced", 0.5)[2].startswith("**Not judged.** broken.png: ")
    assert judge_file(model, None, "balanced", 0.5) == (None, None, "Choose an image first.")
    assert len(find_examples(tmp_path)) == 3
