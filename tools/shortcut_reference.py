"""Fits the shortcut score that ships with the package on the training images and writes it.

python tools/shortcut_reference.py DATA    DATA in the layout of the public data set; its test folder is left alone
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pneumoscope.datasets.audit.reference import FILE, ShortcutReference
from pneumoscope.datasets.audit.shortcut import look_around
from pneumoscope.datasets.registry import find_images
from pneumoscope.files import sha256_of
from pneumoscope.labels import Label
from pneumoscope.statistics.shortcut import conflict_limit, fit_boosting, scores_without_lungs, summarise

TARGET = Path(__file__).resolve().parents[1] / "src" / "pneumoscope" / "datasets" / "audit" / FILE


def main(arguments: list[str]) -> None:
    """Look, fit out of fold for the scores of these images, fit on all for those of others, write."""
    images = find_images(Path(arguments[0]), ("train", "val"))
    seen = look_around(images)
    kept = [
        (image, found.features)
        for image, found in zip(images, seen, strict=True)
        if found and found.features is not None
    ]
    features = np.stack([of for _, of in kept])
    positive = np.array([image.label is Label.PNEUMONIA for image, _ in kept])
    patients = [image.patient for image, _ in kept]
    scores = scores_without_lungs(features, positive, patients)
    hashes = [sha256_of(image.path) for image, _ in kept]
    # Byte-identical files have one score each way; the first of them is kept.
    _, first = np.unique(hashes, return_index=True)
    reference = ShortcutReference.of(
        fit_boosting(features, positive),
        limit=conflict_limit(positive),
        hashes=[hashes[row] for row in first],
        scores=scores[first],
    )
    reference.save(TARGET)
    found = summarise(scores, positive, patients)
    print(
        f"{TARGET.name}  {TARGET.stat().st_size:,} bytes; {found.images} images, AUC {found.auc:.4f} {found.auc_ci95}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
