"""Pneumoscope: detects pneumonia in chest radiographs and shows where it looked.

Research use only. Not a medical device.

    >>> import pneumoscope
    >>> model = pneumoscope.load_model()
    >>> result = model.predict("radiograph.dcm")
    >>> result.label, result.probability, result.heatmap
    >>> table = pneumoscope.evaluate(model, "labelled/radiographs")
    >>> pneumoscope.report(table)["specificity"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pneumoscope.evaluation.score import evaluate, report
    from pneumoscope.model.classifier import Examination, Model, load_model
    from pneumoscope.model.prediction import Prediction
    from pneumoscope.statistics.table import PredictionTable

__all__ = ["Examination", "Model", "Prediction", "PredictionTable", "__version__", "evaluate", "load_model", "report"]

_HOMES = {
    "Examination": "pneumoscope.model.classifier",
    "Model": "pneumoscope.model.classifier",
    "Prediction": "pneumoscope.model.prediction",
    "PredictionTable": "pneumoscope.statistics.table",
    "evaluate": "pneumoscope.evaluation.score",
    "load_model": "pneumoscope.model.classifier",
    "report": "pneumoscope.evaluation.score",
}

_NEEDS_EVALUATE = frozenset({"evaluate", "report"})


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for, so that importing the package stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pneumoscope")
    if name in _HOMES:
        from importlib import import_module

        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            if name not in _NEEDS_EVALUATE:
                raise
            from pneumoscope.errors import MissingExtraError

            raise MissingExtraError(f"pneumoscope.{name}", "evaluate") from error
    raise AttributeError(f"module 'pneumoscope' has no attribute '{name}'")
