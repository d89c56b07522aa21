"""Types for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]
"""Runs a command line given as separate words; ``stdin`` as keyword."""
