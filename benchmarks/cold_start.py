"""One image as a whole process: `pneumoscope predict`, the same in Keras, and a bare LiteRT script.

    python benchmarks/cold_start.py EXPORTED.keras [IMAGE]

EXPORTED.keras is what `pneumoscope export` wrote from the run of the built-in model; IMAGE defaults to a drawn chest.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from common import ProcessCost, run_process, write_result

ROUNDS = 5

KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
from PIL import Image
import pneumoscope.export.layers, pneumoscope.training.networks
model = keras.models.load_model(sys.argv[1], compile=False)
pixels = np.asarray(Image.open(sys.argv[2]).convert("L").resize((224, 224), Image.Resampling.BILINEAR))
print(model.predict(pixels[None, ..., None], verbose=0)["probability"])
"""

DRAW = """
import sys
sys.path.insert(0, sys.argv[1])
from support import phantom
open(sys.argv[2], "wb").write(phantom.encode(phantom.chest_phantom(1024), "JPEG"))
"""

BARE = """
import sys
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(model_path=sys.argv[1], num_threads=1).get_signature_runner()
pixels = np.asarray(Image.open(sys.argv[2]).convert("L").resize((224, 224), Image.Resampling.BILINEAR))
print(run(pixels=pixels[None, ..., None])["probability"])
"""


def summary(costs: list[ProcessCost]) -> dict[str, float]:
    """Medians over the rounds."""
    return {
        "seconds": statistics.median(cost.seconds for cost in costs),
        "peak_mb": statistics.median(cost.peak_mb for cost in costs),
    }


def main(keras_file: str, image: str | None) -> None:
    """Alternate the three, so that all meet the same machine."""
    with tempfile.TemporaryDirectory() as folder:
        if image is None:
            image = str(Path(folder) / "chest.jpeg")
            tests = str(Path(__file__).resolve().parents[1] / "tests")
            # In a process of its own: a child's peak memory starts at its parent's.
            subprocess.run([sys.executable, "-c", DRAW, tests, image], check=True)
        model = str(resources.files("pneumoscope") / "models" / "builtin.tflite")
        commands = {
            "pneumoscope": [str(Path(sys.executable).with_name("pneumoscope")), "predict", image],
            "keras": [sys.executable, "-c", KERAS, keras_file, image],
            "bare_litert": [sys.executable, "-c", BARE, model, image],
        }
        costs: dict[str, list[ProcessCost]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                costs[name].append(run_process(command))
    results = {name: summary(values) for name, values in costs.items()}
    ratio = results["keras"]["seconds"] / results["pneumoscope"]["seconds"]
    peak = results["pneumoscope"]["peak_mb"]
    write_result(
        "cold_start",
        {**results, "keras_over_pneumoscope": ratio, "rounds": ROUNDS},
        headline=[
            ("one image as a whole process, against Keras", f"{ratio:.1f} times faster", "at least 15 times"),
            ("peak memory of that process", f"{peak:.0f} MB", "below 120 MB"),
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
