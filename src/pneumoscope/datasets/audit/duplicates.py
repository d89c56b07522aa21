"""Images that are there twice: the same bytes, and the same picture in other bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

NEAR_LIMIT = 36
"""Bits of 256 in which the perceptual hashes of near duplicates may differ.

Measured on paediatric radiographs of the Kermany data: another size (60 native files against 224 x 224), JPEG
quality 30, a gamma of 0.7, or 1 % cropped off each side changes 32 bits at most and usually under 20, while the
closest two of 13.7 million pairs of different radiographs differ in 38.
"""

_BLOCK = 256


def same_value_groups(values: Sequence[Hashable]) -> list[list[int]]:
    """Positions that share a value, for every value that occurs more than once, in order."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        groups[value].append(position)
    return [positions for positions in groups.values() if len(positions) > 1]


def near_pairs(hashes: NDArray[np.uint64], limit: int = NEAR_LIMIT) -> NDArray[np.int32]:
    """All pairs whose hashes differ in few bits, closest first.

    Every pair is compared, a block of rows at a time, so memory stays flat.

    Args:
        hashes: ``uint64 [N, words]``.
        limit: greatest Hamming distance, in bits.

    Returns:
        ``int32 [pairs, 3]``: first position, second position (greater), distance.
    """
    count = len(hashes)
    found = [np.empty((0, 3), np.int32)]
    for begin in range(0, count, _BLOCK):
        block = hashes[begin : begin + _BLOCK]
        rest = hashes[begin:]
        distance = np.zeros((len(block), len(rest)), np.int32)
        for word in range(hashes.shape[1]):
            distance += np.bitwise_count(block[:, None, word] ^ rest[None, :, word])
        first, second = np.nonzero(distance <= limit)
        upper = first < second
        first, second = first[upper], second[upper]
        found.append(np.stack([first + begin, second + begin, distance[first, second]], axis=1).astype(np.int32))
    pairs = np.concatenate(found)
    return pairs[np.argsort(pairs[:, 2], kind="stable")]
