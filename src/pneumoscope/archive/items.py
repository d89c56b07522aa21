"""One input of an archive, and what every kind of source must offer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Item:
    """One input, as it was listed.

    Attributes:
        name: what the record calls it, and what the source finds it by.
        size: bytes; ``None`` where the source does not say.
        modified: a stamp that changes with the content where the source has one (nanoseconds of the last change,
            an object's ETag, a ZIP member's checksum); empty where it has none.
    """

    name: str
    size: int | None = None
    modified: str = ""


class Source(Protocol):
    """Where images come from. Made anew in every worker from its address, so it holds nothing large.

    Attributes:
        address: as the user gave it.
    """

    address: str

    def items(self) -> Iterator[Item]:
        """List lazily, in an order that does not change from run to run.

        Raises:
            ArchiveError: the source cannot be listed.
        """
        ...

    def read(self, item: Item) -> bytes:
        """The bytes of one input.

        Raises:
            UnreadableInputError: it is not there any more or cannot be read.
            RefusedInputError: it is larger than what is read.
        """
        ...

    def stamp(self, item: Item) -> Item:
        """The same input as it is now, without reading it; unchanged where the source has no quick way to tell.

        Raises:
            UnreadableInputError: it is not there any more.
        """
        ...
