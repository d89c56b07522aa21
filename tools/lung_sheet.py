"""A sheet of radiographs with the lungs that the lung-field network finds, to be looked at; never to be committed.

    python tools/lung_sheet.py DATA --out sheet.png [--count 100] [--choose random|least|cut] [--json reports/x.json]

Lungs are tinted red, the box that the classifier sees is green. `least` takes the pictures with the smallest share of
lungs, `cut` those whose lungs reach farthest along an edge. Prints how many pictures have no lungs and how many are
cut; --json writes the figures.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pneumoscope.datasets.layout import IMAGE_ENDINGS
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.model.lung_field import LungField
from pneumoscope.training.lungs.shipped import LungFields, find_lungs

TILE = 130
PICTURE_SIDE = 224


def main() -> None:
    """Read, find, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--choose", choices=("random", "least", "cut"), default="random")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    files = sorted(path for path in wanted.data.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    pictures = np.stack([shrink(read_image(file).pixels, width=PICTURE_SIDE, height=PICTURE_SIDE) for file in files])
    fields = find_lungs(pictures)
    limits = LungField(PICTURE_SIDE)
    without = [index for index, mask in enumerate(fields.masks) if limits.reasons(mask)]
    counted = figures(fields, without=len(without), cut=sum(bool(limits.notes(mask)) for mask in fields.masks))
    print(json.dumps(counted, indent=2))
    for index in without[:20]:
        print(f"- {files[index].name}: {fields.shares[index]:.1%} surely lung")
    if wanted.json:
        wanted.json.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    chosen = choose(fields, wanted.choose)[: wanted.count]
    draw(pictures[chosen], fields.masks[chosen], fields.boxes[chosen]).save(wanted.out)


def figures(fields: LungFields, *, without: int, cut: int) -> dict[str, float]:
    """What the documents say of a data set's lung fields."""
    sure = fields.shares.astype(np.float64)
    return {
        "pictures": len(sure),
        "without_lungs": without,
        "lungs_at_an_edge": cut,
        "surely_lung_min": round(float(sure.min()), 4),
        "surely_lung_percentile_1": round(float(np.percentile(sure, 1)), 4),
        "surely_lung_median": round(float(np.median(sure)), 4),
        "box_width_mean": round(float((fields.boxes[:, 2] - fields.boxes[:, 0]).mean()), 4),
        "box_height_mean": round(float((fields.boxes[:, 3] - fields.boxes[:, 1]).mean()), 4),
    }


def choose(fields: LungFields, how: str) -> NDArray[np.intp]:
    """All indices, those to look at first."""
    if how == "least":
        return np.argsort(fields.shares)
    if how == "cut":
        lung = fields.masks > 0.5
        edges = [lung[:, 0].mean(1), lung[:, -1].mean(1), lung[:, :, 0].mean(1), lung[:, :, -1].mean(1)]
        return np.argsort(-np.max(edges, axis=0))
    return np.random.default_rng(0).permutation(len(fields.shares))


def draw(pixels: NDArray[np.uint8], masks: NDArray[np.float32], boxes: NDArray[np.float32]) -> Image.Image:
    """Tiles in rows."""
    across = max(1, math.ceil(math.sqrt(len(pixels) * 1.8)))
    sheet = Image.new("RGB", (across * TILE, math.ceil(len(pixels) / across) * TILE))
    for place, (image, mask, box) in enumerate(zip(pixels, masks, boxes, strict=True)):
        size = (TILE - 2, TILE - 2)
        grey = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), np.float32)
        lung = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
        tile = np.stack([grey * (1 - 0.35 * lung) + 110 * lung, grey, grey], -1).clip(0, 255).astype(np.uint8)
        picture = Image.fromarray(tile)
        corners = [float(share) * (TILE - 3) for share in box]
        ImageDraw.Draw(picture).rectangle(corners, outline=(0, 255, 0))
        sheet.paste(picture, (place % across * TILE, place // across * TILE))
    return sheet


if __name__ == "__main__":
    main()
