"""Writes the lung-field network as a LiteRT graph, so that the base install finds lungs without Keras.

python tools/lung_field_graph.py            from the weights that the package ships
python tools/lung_field_graph.py FILE.npz   from others, in the order of the network's own
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np

from pneumoscope.export.litert import convert
from pneumoscope.model.contract import Quantization
from pneumoscope.model.lungs import GRAPH
from pneumoscope.training.networks.lung_field import SIDE, build_lung_field

TARGET = Path(__file__).resolve().parents[1] / "src" / "pneumoscope" / "model" / GRAPH


def graph_of(network: keras.Model) -> bytes:
    """``uint8 [1, 96, 96, 1]`` grey levels in, P(lung) as ``float32 [1, 96, 96, 1]`` out; weights in float16."""
    pixels = keras.Input((SIDE, SIDE, 1), dtype="uint8", name="image")
    levels = keras.ops.cast(pixels, "float32")
    lungs = keras.layers.Activation("sigmoid", name="lungs")(network(levels))
    return convert(keras.Model(pixels, {"lungs": lungs}), Quantization.FLOAT16)


def main(arguments: list[str]) -> None:
    """Convert."""
    if arguments:
        with np.load(arguments[0]) as saved:
            network = build_lung_field()
            network.set_weights([saved[name] for name in saved.files])
    else:
        from pneumoscope.training.lungs.shipped import lung_field_network

        network = lung_field_network()
    TARGET.write_bytes(graph_of(network))
    print(f"{TARGET.name}  {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
