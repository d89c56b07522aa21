"""Grey-scale transformations of DICOM PS3.3 C.11: lookup tables and windows.

pydicom has the same functions; these differ where radiographs need it: a lookup table with 8-bit entries is applied to
values above 255 without wrapping round, entries of any depth up to 16 bits are read, and a window maps to 0..1 whatever
the sign of the rescale slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class LookupTable:
    """One item of a Modality or VOI LUT Sequence.

    Attributes:
        entries: ``uint16 [N]``.
        first: the input value that the first entry stands for; smaller ones map to it too.
        maximum: the largest output that the declared entry depth allows.
    """

    entries: NDArray[np.uint16]
    first: int
    maximum: int

    @classmethod
    def from_item(cls, item: Dataset, *, little_endian: bool) -> LookupTable:
        """Read a sequence item.

        Raises:
            ValueError: if the descriptor and the data do not fit each other.
        """
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count or 2**16  # PS3.3 C.11.1.1: 0 stands for 65,536
        raw: Any = item.LUTData
        if isinstance(raw, bytes):
            size = 1 if len(raw) in (count, count + 1) else 2
            dtype = np.dtype("u1" if size == 1 else ("<u2" if little_endian else ">u2"))
            entries = np.frombuffer(raw, dtype, count)
        else:
            entries = np.asarray(raw)
        if len(entries) != count or not 8 <= bits <= 16:
            raise ValueError(f"lookup table of {count} entries of {bits} bits holds {len(entries)}")
        return cls(entries.astype(np.uint16), first, 2**bits - 1)

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Map values of any numeric type; those outside the table take its first or last entry."""
        index = np.rint(values).astype(np.int64) - self.first
        mapped: NDArray[np.uint16] = self.entries[np.clip(index, 0, len(self.entries) - 1)]
        return mapped


def apply_window(
    values: NDArray[np.float32], centre: float, width: float, function: str = "LINEAR"
) -> NDArray[np.float32]:
    """Map values to 0..1 by a window (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: ``float32 [H, W]``, after rescale.
        centre: Window Center.
        width: Window Width.
        function: VOI LUT Function: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.

    Returns:
        ``float32 [H, W]``, 0 to 1.

    Raises:
        ValueError: if the function is unknown or the width not allowed for it.
    """
    if not np.isfinite([centre, width]).all() or width < (1 if function == "LINEAR" else 1e-6):
        raise ValueError(f"window centre {centre} and width {width} make no sense")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80))), np.float32)
    if function == "LINEAR":
        # A width of 1 is a threshold: the standard's formula divides by width - 1.
        centre, width = centre - 0.5, max(width - 1, 1e-6)
    elif function != "LINEAR_EXACT":
        raise ValueError(f"unknown VOI LUT function {function!r}")
    return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1), np.float32)
