"""The form that MediaPipe Tasks' ImageClassifier takes as it is: RGB in, one tensor of scores out, TFLite metadata.

The metadata is written with the ``flatbuffers`` library after its published schema (``metadata_schema.fbs`` of
MediaPipe Tasks), so that exporting needs no MediaPipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from pneumoscope.export.parity import ModelOutputs
from pneumoscope.model.contract import RESEARCH_USE_ONLY, Contract

UNTYPICAL = "UNTYPICAL"
"""Third label: its score is one less typicality. Refuse the picture where it exceeds one less the contract's limit."""
LABELS_FILE = "labels.txt"

_METADATA_NAME, _METADATA_IDENTIFIER, _OLDEST_PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
# Numbers of the schema's unions and enumerations.
_IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _NORMALIZATION_OPTIONS, _RGB, _TENSOR_AXIS_LABELS = 2, 1, 1, 1, 2


@keras.saving.register_keras_serializable("pneumoscope")
class LumaOfRGB(layers.Layer):  # type: ignore[misc]
    """``uint8 [N, h, w, 3]`` RGB to grey, rounded, as ``images`` makes it (ITU-R BT.601): ``uint8 [N, h, w, 1]``."""

    def call(self, pixels: Any) -> Any:
        """Weigh the channels; equal ones stay what they are."""
        red, green, blue = (ops.cast(pixels[..., i : i + 1], "float32") for i in range(3))
        return ops.cast(ops.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5), "uint8")


def classifier_graph(graph: keras.Model) -> keras.Model:
    """The complete graph as a classifier.

    Args:
        graph: from ``export.graph.assemble``.

    Returns:
        ``uint8 [N, H, W, 3]`` RGB in; ``scores``, ``float32 [N, 3]``: P(normal), P(pneumonia), 1 - typicality.
    """
    height, width = graph.input_shape[1:3]
    image = keras.Input((height, width, 3), dtype="uint8", name="image")
    out = graph(LumaOfRGB(name="grey_levels_of_rgb")(image))
    sick = out["probability"]
    scores = layers.Concatenate(name="calibrated_scores")([1 - sick, sick, 1 - out["typicality"]])
    return keras.Model(image, {"scores": scores}, name=f"{graph.name}-classifier")


def class_names(contract: Contract) -> tuple[str, ...]:
    """Labels of the scores, in order."""
    return (*contract.labels, UNTYPICAL)


def predict_with_classifier(graph: bytes, pixels: NDArray[np.uint8]) -> ModelOutputs:
    """What a classifier graph says about grey ``uint8 [N, H, W]`` images, shown to it as RGB."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=graph, num_threads=1)
    run = interpreter.get_signature_runner()
    rows = [run(image=np.repeat(image[None, ..., None], 3, axis=3))["scores"][0] for image in pixels]
    scores = np.array(rows, dtype=np.float64)
    return ModelOutputs(scores[:, 1], None, 1 - scores[:, 2])


def with_metadata(graph: bytes, contract: Contract) -> bytes:
    """The graph with TFLite metadata inside; the file that it names, ``labels.txt``, is appended by ``packaging``."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(graph, 0))
    model.buffers.append(schema.BufferT(data=np.frombuffer(_metadata(contract), np.uint8)))
    entry = schema.MetadataT(name=_METADATA_NAME, buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(graph))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Writer:
    """Tables of the metadata schema; fields are given by their slot numbers there."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder: Any = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, np.float32)))

    def tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def table(self, slots: int, offsets: dict[int, int], numbers: dict[int, int] | None = None) -> int:
        """A table with so many slots; ``offsets`` to strings, vectors and tables, ``numbers`` of one byte."""
        self.builder.StartObject(slots)
        for slot, offset in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, number in (numbers or {}).items():
            self.builder.PrependUint8Slot(slot, number, 0)
        return int(self.builder.EndObject())


def _metadata(contract: Contract) -> bytes:
    write = _Writer()
    model = write.table(
        8,
        {
            0: write.text(f"{contract.name} {contract.version}"),
            1: write.text(contract.intended_use),
            2: write.text(contract.version),
            3: write.tables([write.table(6, {2: write.tables([_image(write)]), 3: write.tables([_scores(write)])})]),
            5: write.text(RESEARCH_USE_ONLY),
            7: write.text(_OLDEST_PARSER),
        },
    )
    write.builder.Finish(model, file_identifier=_METADATA_IDENTIFIER)
    return bytes(write.builder.Output())


def _image(write: _Writer) -> int:
    """The input: RGB, pixels as they are (mean 0, standard deviation 1), 0 to 255."""
    properties = write.table(2, {}, {0: _RGB})
    normalization = write.table(2, {0: write.floats([0.0]), 1: write.floats([1.0])})
    return write.table(
        7,
        {
            0: write.text("image"),
            1: write.text("The whole radiograph, squashed to the input size; grey as three equal channels."),
            3: write.table(3, {1: properties}, {0: _IMAGE_PROPERTIES}),
            4: write.tables([write.table(2, {1: normalization}, {0: _NORMALIZATION_OPTIONS})]),
            5: write.table(2, {0: write.floats([255.0]), 1: write.floats([0.0])}),
        },
    )


def _scores(write: _Writer) -> int:
    """The output: one score a label."""
    features = write.table(0, {})
    labels = write.table(
        5, {0: write.text(LABELS_FILE), 1: write.text("Labels of the scores.")}, {2: _TENSOR_AXIS_LABELS}
    )
    return write.table(
        7,
        {
            0: write.text("scores"),
            1: write.text("P(normal), calibrated P(pneumonia), 1 - typicality."),
            3: write.table(3, {1: features}, {0: _FEATURE_PROPERTIES}),
            5: write.table(2, {0: write.floats([1.0]), 1: write.floats([0.0])}),
            6: write.tables([labels]),
        },
    )
