"""The folder that pictures of records are written to."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from pneumoscope.drawing.panel import SIDE, SOFTWARE, panel, panel_png
from pneumoscope.errors import UnreadableInputError
from pneumoscope.explain.methods import DEFAULT_METHOD, METHODS, Explain
from pneumoscope.files import make_folder, write_atomically
from pneumoscope.imaging.reader import read_image
from pneumoscope.model.classifier import Model
from pneumoscope.model.prediction import Prediction

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

    def write(self, prediction: Prediction) -> Path | None:
        """Draw a record.

        Returns:
            Where the picture is; ``None`` for a record without judgement.

        Raises:
            InputError: the file went away or changed since it was judged.
            PneumoscopeError: the disk is full.
        """
        if prediction.heatmap is None:
            return None
        image = read_image(Path(prediction.path), target=SIDE)
        if image.sha256 != prediction.sha256:
            raise UnreadableInputError(f"{prediction.path}: changed while it was being judged; run again")
        heatmap = prediction.heatmap if self._explain is None else self._explain(self._model, image)
        drawn = panel(prediction, image, heatmap, method=self._method.title)
        picture = self._reserve(Path(prediction.path).stem)
        write_atomically(picture, panel_png(drawn, prediction))
        return picture

    def _reserve(self, stem: str) -> Path:
        short = os.fsencode(stem)[:_LONGEST_STEM].decode("utf-8", "ignore")
        names = (f"{short}.png" if number == 1 else f"{short}-{number}.png" for number in count(1))
        # Some file systems do not tell capitals from small letters.
        free = next(name for name in names if name.casefold() not in self._taken and _is_ours(self._folder / name))
        self._taken.add(free.casefold())
        return self._folder / free


def _is_ours(picture: Path) -> bool:
    """Tell whether a place is free or holds a picture that we wrote; a radiograph must not be replaced."""
    if not picture.exists():
        return True
    with picture.open("rb") as content:
        return f"Software\0{SOFTWARE}".encode() in content.read(200)
