"""Bounds on the time that a hostile file's tags can take.

pydicom walks through every element of a file, and through every value of an element that is asked for, in Python. A
file of a few megabytes can hold millions of either, and one that is taken over a network must not hold a processor
for minutes. A radiograph has some hundred elements.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from pneumoscope.errors import RefusedInputError

MAX_READS: Final = 50_000
"""Reads of one file. Each element takes two or three; chest radiographs take some hundred in all."""

MAX_VALUE_BYTES: Final = 2**20
"""Of an element that is interpreted. The longest of a radiograph, a lookup table, has 128 KiB."""

MAX_TABLES_BYTES: Final = 2**22
"""Of a sequence of lookup tables: some thirty of the longest."""

TABLES: Final = (0x00283000, 0x00283010)
"""Modality and VOI LUT Sequence."""

INTERPRETED_GROUPS: Final = (0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x2050)
"""Groups whose elements are asked for. Values of all others stay bytes that nobody looks into."""


class BoundedReader(BytesIO):
    """The bytes of a file, which may be read only so many times.

    Args:
        data: to read.
        name: what messages call the file.
    """

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._left, self._name = MAX_READS, name

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on.

        Raises:
            RefusedInputError: the file was read more than :data:`MAX_READS` times.
        """
        self._left -= 1
        if self._left < 0:
            raise RefusedInputError(f"{self._name}: far more elements than any radiograph has; export it anew")
        return super().read(size)


def check_lengths(dataset: Dataset, name: str) -> None:
    """Refuse a file one of whose interpreted elements is longer than any radiograph's.

    Raises:
        RefusedInputError: if there is one.
    """
    for tag in dataset.keys():  # noqa: SIM118 - the data set itself would interpret each element
        element = dataset.get_item(tag)
        if tag.group not in INTERPRETED_GROUPS or not isinstance(element, RawDataElement):
            continue
        if len(element.value or b"") > (MAX_TABLES_BYTES if tag in TABLES else MAX_VALUE_BYTES):
            raise RefusedInputError(
                f"{name}: its element {tag} holds {len(element.value or b'') / 2**20:.1f} MiB, more than any "
                "radiograph's; export it anew"
            )
