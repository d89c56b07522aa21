"""Every kind of source gives the same radiograph; anything else is named."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pneumoscope.errors import UnreadableInputError, UsageError
from pneumoscope.imaging.source import read_radiograph
from support import phantom

CHEST = phantom.chest_phantom(256)
PNG = phantom.encode(CHEST)


def test_path_text_bytes_file_array_and_pillow_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "chest.png"
    path.write_bytes(PNG)
    with path.open("rb") as stream:
        read = [
            read_radiograph(source)
            for source in (path, str(path), PNG, bytearray(PNG), memoryview(PNG), BytesIO(PNG), stream, CHEST)
        ]
    read += [read_radiograph(np.stack([CHEST] * 3, axis=2)), read_radiograph(Image.fromarray(CHEST))]
    for radiograph in read:
        np.testing.assert_array_equal(radiograph.pixels, CHEST)
        assert (radiograph.width, radiograph.height, radiograph.chroma) == (256, 256, 0.0)
    assert len({radiograph.sha256 for radiograph in read[:7]}) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (7, "a int cannot be examined"),
        (None, "a NoneType cannot be examined"),
        (CHEST.astype(np.float32), "an array of float32"),
        (np.zeros((2, 2, 2, 2), np.uint8), r"an array of uint8 \[2, 2, 2, 2\]"),
        (Image.new("F", (300, 300)), "a Pillow image of mode F"),
        (StringIO("text"), "binary mode"),
    ],
)
def test_what_holds_no_radiograph_is_named_with_what_would(source: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_radiograph(source)


def test_a_closed_file_cannot_be_read() -> None:
    stream = BytesIO(PNG)
    stream.close()
    with pytest.raises(UnreadableInputError, match="cannot be read"):
        read_radiograph(stream)
