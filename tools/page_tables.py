"""Writes what the page on the device must not type again: limits, names and the contract's fields.

python tools/page_tables.py            app/engine/src/limits.json and app/engine/src/dicom/names.json
python tools/page_tables.py --check    says whether they are as Python has them (exit status 1 if not)
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from pydicom.uid import UID, DigitalXRayImageStorageForProcessing, UID_dictionary

from pneumoscope.imaging import borders, jpeg_damage, limits, quality, radiograph, raster
from pneumoscope.imaging.dicom import bounds, header, objects, pixels, shutter
from pneumoscope.imaging.formats import ImageFormat
from pneumoscope.model import contract, lung_field, notes

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "app" / "engine" / "src"

READ_SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
"""Transfer syntaxes that the page decodes; HTJ2K is left out, since its codec does not read it."""


def tables() -> dict[str, Any]:
    """Every number and list that decides what is refused or noted, by the module that states it."""
    return {
        "about": "Written by tools/page_tables.py from the Python sources. Do not edit.",
        "reader": {
            **_constants(radiograph, "MAX_PIXELS", "PROGRAM", "CHROMA_SAMPLES"),
            **_constants(
                limits,
                *("MAX_BYTES", "MAX_JPEG_SEGMENTS", "MAX_JPEG_SCANS", "MAX_JPEG_WORK", "SEVERAL", "MAX_GIF_BLOCKS"),
                "MAX_GIF_PICTURE_BLOCKS",
            ),
            **_constants(raster, "DRAFT_OVERSAMPLING", "DRAFT_SCALES"),
            **_constants(jpeg_damage, "MIN_STEP", "MAX_CONTRAST", "DAMAGE_NOTE"),
            "FORMATS": [each.value for each in ImageFormat if each is not ImageFormat.PIXELS],
        },
        "borders": _constants(borders, "BAR_TOLERANCE", "MIN_BAR", "MIN_KEPT"),
        "quality": _constants(
            quality,
            *("MIN_SIDE", "MAX_SIDE_RATIO", "BLANK_SPAN", "MIN_SPAN", "MAX_CHROMA", "MIN_GREY_LEVELS", "MAX_WHITE"),
            *("MAX_BLACK", "MIN_SMOOTHNESS", "MIN_POLARITY", "MEAN_CHEST"),
        ),
        "dicom": {
            "FOR_PROCESSING": str(DigitalXRayImageStorageForProcessing),
            "TRANSFER_SYNTAXES": READ_SYNTAXES,
            "OBJECTS": list(objects._BY_PREFIX.items()),
            "CHEST_WORDS": header._CHEST_WORDS.pattern,
            "OTHER_VIEW": header._OTHER_VIEW.pattern,
            **_constants(
                header,
                *("CAPTURE_CLASSES", "RADIOGRAPH_CLASSES", "RADIOGRAPH_MODALITIES", "CAPTURE_MODALITIES"),
                *("CHEST_PARTS", "LATERAL_VIEWS"),
            ),
            **_constants(pixels, "NO_VOI_PERCENTILES", "MAX_CLIPPED"),
            **_constants(shutter, "MIN_SHOWN"),
            **_constants(bounds, "MAX_VALUE_BYTES", "MAX_TABLES_BYTES", "INTERPRETED_GROUPS"),
        },
        "contract": {
            **_constants(contract, "CONTRACT_VERSION", "RESEARCH_USE_ONLY"),
            "RESIZE_FILTER": contract.ResizeFilter.BILINEAR_ANTIALIASED.value,
            "FIELDS": [field.name for field in dataclasses.fields(contract.Contract)],
            "FORMERLY": notes._FORMERLY,
            "LUNG_FIELD": dataclasses.asdict(lung_field.LungField(classifier_side=224)),
        },
    }


def _constants(module: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names}


def names() -> dict[str, str]:
    """Names of storage classes and transfer syntaxes by UID, for messages."""
    wanted = ("SOP Class", "Transfer Syntax")
    return {uid: UID(uid).name for uid, entry in sorted(UID_dictionary.items()) if entry[1] in wanted}


def main(arguments: list[str]) -> int:
    """Write the tables, or compare them."""
    stale = []
    for file, table in ((SOURCE / "limits.json", tables()), (SOURCE / "dicom" / "names.json", names())):
        text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
        if "--check" not in arguments:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            stale.append(file.relative_to(ROOT).as_posix())
    if stale:
        print(f"stale: {', '.join(stale)}; run python tools/page_tables.py", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
