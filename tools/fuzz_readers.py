"""Coverage-guided fuzzing of the readers with atheris: ``python tools/fuzz_readers.py [libFuzzer options] CORPUS``.

Anything but a radiograph or an ``InputError`` stops it with the input that did it. Compressed DICOM goes to decoder
processes, whose coverage is not seen; what is seen is everything before them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pneumoscope.imaging", "pydicom", "PIL"]):
    from pneumoscope.errors import InputError
    from pneumoscope.imaging.reader import read_image


def read_one(data: bytes) -> None:
    """Read one input as predict does."""
    try:
        image = read_image(data)
    except InputError:
        return
    assert image.pixels.ndim == 2 and image.pixels.dtype.name == "uint8"


def main() -> None:
    """Fill an empty corpus with a sound file of each kind, and fuzz."""
    from fuzz import seeds

    corpus = Path(sys.argv[-1])
    if corpus.is_dir() and not any(corpus.iterdir()):
        for name, content in seeds().items():
            (corpus / name.replace(", ", "-").replace(" ", "-")).write_bytes(content)
    atheris.Setup(sys.argv, read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
