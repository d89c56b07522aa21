"""What the tests of the command line share."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pneumoscope.cli.main import cli
from pneumoscope.cli.opening import read_model_package
from pneumoscope.model.packaging import pack
from support import phantom
from support.calibrated import calibrated_bytes
from support.cli_kit import Run


@pytest.fixture(scope="session")
def open_minded_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model with a typicality limit of 0, so that it judges phantoms whatever it was trained on."""
    package, _ = read_model_package(None)
    contract = dataclasses.replace(package.contract, typicality_limit=0.0, name="open-minded")
    file = tmp_path_factory.mktemp("model") / "open_minded.tflite"
    file.write_bytes(pack(package.graph, contract, package.card))
    return file


@pytest.fixture(scope="session")
def calibrated_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in contract version 2, uncertain of every score."""
    file = tmp_path_factory.mktemp("model") / "calibrated.tflite"
    file.write_bytes(calibrated_bytes())
    return file


@pytest.fixture
def run() -> Run:
    """Run a command line in this process; an exception that is no exit fails the test."""

    def invoke(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, [str(part) for part in arguments], input=stdin, catch_exceptions=False)

    return invoke


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    """A drawn chest as JPEG."""
    file = tmp_path / "chest.jpeg"
    file.write_bytes(phantom.encode(phantom.chest_phantom(256), "JPEG"))
    return file
