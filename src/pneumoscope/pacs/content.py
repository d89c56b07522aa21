"""What makes two files the same image."""

from __future__ import annotations

import hashlib
from typing import Final

_META_START: Final = 132


def content_sha256(content: bytes) -> str:
    """Hash of a file's data set alone: file meta information differs by who sent it, the image does not."""
    return hashlib.sha256(memoryview(content)[_data_set_start(content) :]).hexdigest()


def _data_set_start(content: bytes) -> int:
    """Where the data set begins: after preamble, prefix and group 0002, whose length its first element gives."""
    if content[128:_META_START] != b"DICM":
        return 0
    element = content[_META_START : _META_START + 12]
    if element[:4] != b"\x02\x00\x00\x00" or element[4:6] != b"UL":
        return _META_START
    return _META_START + 12 + int.from_bytes(element[8:12], "little")
