"""Read the tensors of a PyTorch checkpoint in the format before 1.6, without PyTorch and without running its pickle.

The file is five pickles (magic number, protocol, system, the state dictionary, the storages' keys) and then each
storage as a 64-bit count and raw little-endian numbers. A pickle can run any code; here only ordered dictionaries
and tensors are let through.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumoscope.errors import TrainingError

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies in its storage; the numbers come later in the file."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild(storage: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, stride)


class _Unpickler(pickle.Unpickler):
    """Lets through what a state dictionary is made of, and notes each storage's type."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a state dictionary needs."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a state dictionary does not need")

    def persistent_load(self, saved: Any) -> str:
        """A storage is named by ``("storage", type, key, device, count, view)``."""
        _, dtype, key, *_ = saved
        self.dtypes[key] = dtype
        return str(key)


def read_torch_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a legacy PyTorch state dictionary by name, ``float32`` or ``int64``.

    Raises:
        TrainingError: not such a file, cut short, or its pickle asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TrainingError(f"{path}: not a legacy PyTorch state dictionary ({error})") from error
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error


def _read(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    if _Unpickler(file).load() != _MAGIC:
        raise ValueError("the magic number is another")
    for _ in ("protocol", "system"):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tensors: OrderedDict[str, _Tensor] = unpickler.load()
    numbers = {}
    for key in _Unpickler(file).load():
        count, dtype = int.from_bytes(file.read(8), "little"), unpickler.dtypes[key]
        data = file.read(count * dtype.itemsize)
        numbers[key] = np.frombuffer(data, dtype, count)
    return {name: _strided(numbers[tensor.storage], tensor) for name, tensor in tensors.items()}


def _strided(storage: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
    if min((tensor.offset, *tensor.stride)) < 0 or (0 not in tensor.shape and last >= len(storage)):
        raise ValueError("a tensor lies outside its storage")
    strides = tuple(s * storage.itemsize for s in tensor.stride)
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
