"""Put the weights of a finished lung-field run into the package, with where they come from beside them.

python tools/ship_lung_field.py runs/lung-field
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import pneumoscope.training

FOLDER = Path(pneumoscope.training.__path__[0]) / "weights"


def main(run_folder: str) -> None:
    """Write ``lung-field.npz`` and ``lung-field.json``."""
    import keras

    from pneumoscope.training.lungs.fit import LungFieldRun
    from pneumoscope.training.lungs.shipped import PROVENANCE, WEIGHTS

    run = LungFieldRun(Path(run_folder))
    network = keras.models.load_model(run.network, compile=False)
    FOLDER.mkdir(exist_ok=True)
    names = [f"{index:03d}-{weight.path.replace('/', '.')}" for index, weight in enumerate(network.weights)]
    np.savez_compressed(FOLDER / WEIGHTS, **dict(zip(names, network.get_weights(), strict=True)))
    content = {
        "made_by": "pneumoscope train --recipe lung-field",
        "sha256": hashlib.sha256((FOLDER / WEIGHTS).read_bytes()).hexdigest(),
        "parameters": network.count_params(),
        "held_out": json.loads(run.report.read_text("utf-8")),
        "run": json.loads(run.settings.read_text("utf-8")),
        "masks_from": "v7labs COVID-19 X-ray data set, annotations CC BY 4.0, on images of doi 10.17632/rscbjbr9sj",
    }
    (FOLDER / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
