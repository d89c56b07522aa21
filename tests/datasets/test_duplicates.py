from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pneumoscope.datasets.audit.duplicates import near_pairs, same_value_groups
from pneumoscope.datasets.registry import find_images


def test_groups_of_equal_values_in_order() -> None:
    assert same_value_groups(["a", "b", "a", "c", "b", "a"]) == [[0, 2, 5], [1, 4]]
    assert same_value_groups([]) == []


def test_near_pairs_are_those_of_a_plain_double_loop() -> None:
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**63, (600, 4), dtype=np.uint64)  # more than two blocks
    for copy, source, bits in ((300, 7, 3), (599, 300, 30), (10, 599, 12)):
        hashes[copy] = hashes[source]
        for bit in rng.choice(256, bits, replace=False):
            hashes[copy, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    as_bits = np.unpackbits(hashes.view(np.uint8), axis=1).astype(bool)
    expected = {}
    for i in range(600):
        for j, distance in enumerate((as_bits[i] != as_bits[i + 1 :]).sum(axis=1), start=i + 1):
            if distance <= 36:
                expected[i, j] = int(distance)
    found = near_pairs(hashes, 36)
    assert {(int(i), int(j)): int(d) for i, j, d in found} == expected
    assert len(expected) >= 3
    assert list(found[:, 2]) == sorted(found[:, 2])
    assert near_pairs(np.empty((0, 4), np.uint64)).shape == (0, 3)


def test_the_published_training_split_has_24_groups_of_identical_files(radiographs: Path) -> None:
    images = find_images(radiographs / "chest_xray_224", "train")
    groups = same_value_groups([hashlib.sha256(image.path.read_bytes()).digest() for image in images])
    assert len(groups) == 24
    assert all(len({images[i].label for i in group}) == 1 for group in groups)
