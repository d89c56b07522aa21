"""Pneumoscope: detects pneumonia in chest radiographs and shows where it looked.

Research use only. Not a medical device.

    >>> import pneumoscope
    >>> model = pneumoscope.load_model()
    >>> result = model.predict("radiograph.dcm")
    >>> result.label, result.probability, result.heatmap
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pneumoscope.model.classifier import Examination, Model, load_model
    from pneumoscope.model.prediction import Prediction

__all__ = ["Examination", "Model", "Prediction", "__version__", "load_model"]

_HOMES = {
    "Examination": "pneumoscope.model.classifier",
    "Model": "pneumoscope.model.classifier",
    "Prediction": "pneumoscope.model.prediction",
    "load_model": "pneumoscope.model.classifier",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for, so that importing the package stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pneumoscope")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pneumoscope' has no attribute '{name}'")
