"""The complete graph in Keras' and TensorFlow's own formats."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import keras

from pneumoscope.errors import PneumoscopeError
from pneumoscope.files import fill_atomically, temporary_beside


def save_keras(graph: keras.Model, folder: Path, name: str) -> list[Path]:
    """Save a complete graph as ``NAME.keras`` and ``NAME.h5``; both load back with ``pneumoscope`` imported."""
    files = [folder / f"{name}.keras", folder / f"{name}.h5"]
    with warnings.catch_warnings():
        # Keras calls HDF5 a legacy format; it is asked for by name here.
        warnings.filterwarnings("ignore", message=".*HDF5.*legacy.*")
        for file in files:
            fill_atomically(file, graph.save)
    return files


def save_saved_model(graph: keras.Model, folder: Path, name: str) -> Path:
    """Save a complete graph as the TensorFlow SavedModel ``NAME-saved-model/``, any batch size, signature ``serve``.

    The folder is written beside its place and moved there; what was there before is replaced only then.

    Raises:
        PneumoscopeError: the disk is full or the folder cannot be written.
    """
    target = folder / f"{name}-saved-model"
    temporary = temporary_beside(target)
    try:
        graph.export(temporary, format="tf_saved_model", verbose=False)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    except OSError as error:
        raise PneumoscopeError(f"{target}: could not be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
