"""The forms a model is exported in: what the command line offers."""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """What files an export writes."""

    LITERT = "litert"
    """One-file models: named outputs, heatmap and typicality included."""
    MEDIAPIPE = "mediapipe"
    """One-file models that MediaPipe Tasks' ImageClassifier takes: RGB in, scores out, no heatmap."""
    KERAS = "keras"
    """``.keras`` and ``.h5``."""
    SAVED_MODEL = "saved-model"
    """A TensorFlow SavedModel folder."""


ONE_FILE = (ExportFormat.LITERT, ExportFormat.MEDIAPIPE)
"""Forms that are written once a quantisation."""
