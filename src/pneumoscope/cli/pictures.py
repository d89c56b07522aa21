"""The folder that pictures of records are written to."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from pneumoscope.drawing.panel import SOFTWARE, panel, panel_png
from pneumoscope.explain.methods import DEFAULT_METHOD, METHODS, Explain
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.model.classifier import Examination, Model

_LONGEST_STEM = 180
"""Bytes. File systems take names of 255, and a number, the ending and a temporary prefix are added."""


class PictureFolder:
    """Writes one PNG a judged input, under a name of its own.

    The name is the input's with the ending ``.png``; where two inputs would share it, the later ones get a number.
    A picture of an earlier run is replaced; any other file is left alone.

    Args:
        folder: made if it is not there.
        model: that judged.
        method: name of the explanation method.

    Raises:
        UsageError: the folder cannot be made.
    """

    def __init__(self, folder: Path, model: Model, method: str = DEFAULT_METHOD) -> None:
        make_folder(folder)
        self._folder, self._model, self._method = folder, model, METHODS[method]
        # The model's own heatmap is in the record already.
        self._explain: Explain | None = None if method == DEFAULT_METHOD else self._method.load()
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def draw(self, examined: Examination) -> bytes | None:
        """The picture of an examination as PNG, ``None`` without judgement. Any thread may draw."""
        prediction, image = examined.prediction, examined.radiograph
        if prediction.heatmap is None or image is None:
            return None
        heatmap = prediction.heatmap if self._explain is None else self._explain(self._model, image)
        return panel_png(panel(prediction, image, heatmap, method=self._method.title), prediction)

    def place(self, path: str, png: bytes) -> Path:
        """Write a picture under the name of its input; inputs that share a name are numbered in the order of calls.

        Raises:
            PneumoscopeError: the disk is full.
        """
        picture = self._reserve(Path(path).stem)
        write_atomically(picture, png)
        return picture

    def _reserve(self, stem: str) -> Path:
        short = os.fsencode(stem)[:_LONGEST_STEM].decode("utf-8", "ignore")
        # Some file systems do not tell capitals from small letters.
        same = short.casefold()
        for number in count(self._next.get(same, 1)):
            name = f"{short}.png" if number == 1 else f"{short}-{number}.png"
            if name.casefold() not in self._taken and _is_ours(self._folder / name):
                break
        self._next[same] = number + 1
        self._taken.add(name.casefold())
        return self._folder / name


def _is_ours(picture: Path) -> bool:
    """Tell whether a place is free or holds a picture that we wrote; a radiograph must not be replaced."""
    if not picture.exists():
        return True
    with picture.open("rb") as content:
        return f"Software\0{SOFTWARE}".encode() in content.read(200)
