"""What the tests of the gateway share."""

from __future__ import annotations

import dataclasses

import pytest

from pneumoscope.cli.opening import read_model_package
from pneumoscope.model.classifier import Model
from pneumoscope.model.packaging import ModelPackage, pack


@pytest.fixture(scope="session")
def model_content() -> bytes:
    """The built-in model with a typicality limit of 0, so that it judges phantoms whatever it was trained on."""
    package, _ = read_model_package(None)
    contract = dataclasses.replace(package.contract, typicality_limit=0.0, name="open-minded")
    return pack(package.graph, contract, package.card)


@pytest.fixture(scope="session")
def model(model_content: bytes) -> Model:
    """The same, open."""
    from pneumoscope.model.packaging import unpack

    package: ModelPackage = unpack(model_content, "open-minded")
    return Model(package)
