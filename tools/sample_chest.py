"""Writes the adult chest radiograph of pydicom-data as a PNG, for tests of the page where no data folder is.

    python tools/sample_chest.py OUT.png

It needs no data, and shows nobody of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from pydicom.data import get_testdata_file

from pneumoscope.imaging.reader import read_image


def main(out: str) -> int:
    """Write the picture as the reader sees it."""
    sample = Path(str(get_testdata_file("RG1_UNCR.dcm", download=False)))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(read_image(sample, target=None).pixels).save(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
