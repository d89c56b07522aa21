"""Arrays in, arrays out: a graph run by LiteRT. Knows no files and no pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import ModelFileError

SIGNATURE = "serving_default"


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a graph says about one image.

    Attributes:
        probability: calibrated P(pneumonia), 0 to 1.
        subtype: probabilities of NORMAL, BACTERIAL, VIRAL, ``float32 [3]``, or ``None``.
        heatmap: Grad-CAM of the pneumonia logit, ``float32 [h, w]``, 0 to 1.
        typicality: how like a training radiograph the input is, 0 to 1.
        lungs: P(lung), ``float32 [h, w]`` over the whole picture; ``None`` where the graph looks for none.
        lung_box: ``x0, y0, x1, y1`` around them with a margin, shares of width and height, 0 to 1; the whole picture
            where none were found; ``None`` where the graph looks for none.
    """

    probability: float
    subtype: NDArray[np.float32] | None
    heatmap: NDArray[np.float32]
    typicality: float
    lungs: NDArray[np.float32] | None = None
    lung_box: NDArray[np.float32] | None = None

    @property
    def is_sound(self) -> bool:
        """Whether all are numbers, and probability and typicality shares: a damaged graph gives anything."""
        shares = (self.probability, self.typicality)
        rest = [each for each in (self.heatmap, self.subtype, self.lungs, self.lung_box) if each is not None]
        return all(0 <= share <= 1 for share in shares) and all(bool(np.isfinite(each).all()) for each in rest)


class LiteRTRuntime:
    """One LiteRT interpreter. Not safe for use by two threads at once: give each thread its own.

    Args:
        graph: bytes of a ``.tflite`` file; anything appended to the graph is ignored.
        threads: that one inference may use.

    Raises:
        ModelFileError: LiteRT cannot read the graph, or it lacks the named inputs and outputs.
    """

    def __init__(self, graph: bytes, *, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Any = Interpreter(model_content=graph, num_threads=threads)
            signatures = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError, MemoryError, TypeError) as error:
            raise ModelFileError(f"LiteRT cannot read the graph ({' '.join(str(error).split())[:200]})") from error
        outputs = set(signatures.get(SIGNATURE, {}).get("outputs", ()))
        missing = {"probability", "heatmap", "typicality"} - outputs
        if missing:
            raise ModelFileError(f"the graph has no output named {', '.join(sorted(missing))}")
        try:
            self._run: Any = self._interpreter.get_signature_runner(SIGNATURE)
            details = self._run.get_input_details()
            shapes = {name: tuple(entry["shape"]) for name, entry in self._run.get_output_details().items()}
        except (ValueError, RuntimeError, MemoryError, LookupError, TypeError) as error:
            raise ModelFileError(f"LiteRT cannot prepare the graph ({' '.join(str(error).split())[:200]})") from error
        _check_outputs(shapes)
        if len(details) != 1:
            raise ModelFileError(f"the graph has {len(details)} inputs, one is needed")
        (self._input,) = details
        shape, kind = tuple(details[self._input]["shape"]), details[self._input]["dtype"]
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 1 or kind is not np.uint8:
            raise ModelFileError(
                f"the graph takes {np.dtype(kind).name} {list(map(int, shape))}, uint8 [1, height, width, 1] is needed"
            )
        self.height, self.width = int(shape[1]), int(shape[2])
        self.has_subtype = "subtype" in outputs
        self.has_lungs = {"lungs", "lung_box"} <= outputs

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Judge one image.

        Args:
            pixels: ``uint8 [height, width]`` grey levels at the graph's size.
        """
        result = self._run(**{self._input: pixels[None, :, :, None]})
        return Outputs(
            probability=float(result["probability"][0, 0]),
            subtype=np.array(result["subtype"][0]) if self.has_subtype else None,
            heatmap=np.array(result["heatmap"][0]),
            typicality=float(result["typicality"][0, 0]),
            lungs=np.array(result["lungs"][0]) if self.has_lungs else None,
            lung_box=np.array(result["lung_box"][0]) if self.has_lungs else None,
        )


_LARGEST_MAP = 4096
"""Pixels a side of a heatmap."""


def _check_outputs(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse outputs of other shapes than are read: their first number would be taken for a probability."""
    for name, wanted in (("probability", (1, 1)), ("typicality", (1, 1)), ("subtype", (1, 3))):
        if name in shapes and shapes[name] != wanted:
            raise ModelFileError(f"the graph's output {name} is {list(map(int, shapes[name]))}, not {list(wanted)}")
    heatmap = shapes.get("heatmap", ())
    if len(heatmap) != 3 or heatmap[0] != 1 or not all(1 <= side <= _LARGEST_MAP for side in heatmap):
        raise ModelFileError(f"the graph's output heatmap is {list(map(int, heatmap))}, not [1, height, width]")
