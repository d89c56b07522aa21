"""Bearer tokens: random, stored only as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pneumoscope.errors import UsageError

_HASH: Final = re.compile(r"[0-9a-f]{64}")


def new_token() -> tuple[str, str]:
    """A fresh token of 256 random bits, and its hash."""
    token = secrets.token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """SHA-256 of a token, 64 hex digits. Enough for tokens that are random: there is nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_known(token: str, hashes: Iterable[str]) -> bool:
    """Tell whether a token is one of those hashed. Looks at every hash, so that time tells nothing."""
    offered = hash_token(token)
    return sum(hmac.compare_digest(offered, known) for known in hashes) > 0


def read_token_file(path: Path) -> tuple[str, ...]:
    """Read hashes, one a line; what follows the hash is a comment, as are lines that start with ``#``.

    Raises:
        UsageError: the file cannot be read, holds no hash, or a line is not one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: token file cannot be read ({error})") from error
    hashes = []
    for number, line in enumerate(lines, 1):
        entry = line.split("#")[0].split()
        if not entry:
            continue
        if not _HASH.fullmatch(entry[0]):
            raise UsageError(
                f"{path}, line {number}: not a SHA-256 of 64 hex digits; `pneumoscope serve --new-token` makes one"
            )
        hashes.append(entry[0])
    if not hashes:
        raise UsageError(f"{path}: holds no token hash; `pneumoscope serve --new-token` makes one")
    return tuple(hashes)
