"""The command line runs in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pneumoscope.cli.main import cli
from support.cli_kit import Run


@pytest.fixture
def run() -> Run:
    """Run a command line in this process; an exception that is no exit fails the test."""

    def invoke(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, [str(part) for part in arguments], input=stdin, catch_exceptions=False)

    return invoke
