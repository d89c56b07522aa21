"""What the tests of the gateway share."""

from __future__ import annotations

import dataclasses
import gc
import warnings
from collections.abc import Iterator

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


@pytest.fixture(autouse=True, scope="module")
def sockets_are_collected() -> Iterator[None]:
    """pynetdicom leaves the sockets of broken associations to the garbage collector, which would tell the last test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
