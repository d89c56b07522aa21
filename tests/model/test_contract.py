"""The contract survives a round trip and refuses what no client could honour."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pneumoscope.errors import ContractError
from pneumoscope.model.contract import CONTRACT_VERSION, Contract, OperatingPoint, Provenance, Quantization


@pytest.fixture
def contract() -> Contract:
    return Contract(
        name="tiny",
        version="1.0.0",
        graph_sha256="ab" * 32,
        quantization=Quantization.FLOAT32,
        operating_points={
            "balanced": OperatingPoint(0.5, 0.9, 0.8),
            "high_sensitivity": OperatingPoint(0.2, 0.99, 0.5),
        },
        default_operating_point="balanced",
        typicality_limit=0.5,
        parameters=10,
        provenance=Provenance("tiny", 0, "cd" * 32, 3, {"keras": "3"}),
        subtypes=("NORMAL", "BACTERIAL", "VIRAL"),
    )


def test_json_round_trip(contract: Contract) -> None:
    assert Contract.from_json(contract.to_json()) == contract


def test_operating_point_by_name_and_default(contract: Contract) -> None:
    assert contract.operating_point() == ("balanced", OperatingPoint(0.5, 0.9, 0.8))
    assert contract.operating_point("high_sensitivity")[1].threshold == 0.2
    with pytest.raises(ContractError, match=r"'best': tiny has none of that name; it has balanced, high_sensitivity"):
        contract.operating_point("best")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown keys extra in Contract"),
        ({"contract_version": CONTRACT_VERSION + 1}, "install a newer one"),
        ({"contract_version": "1"}, "is not a number"),
        ({"quantization": "int3"}, "int3"),
        ({"resize_filter": "nearest"}, "nearest"),
        ({"operating_points": []}, "operating_points is not an object"),
        ({"operating_points": {"balanced": {"threshold": 2, "sensitivity": 1, "specificity": 1}}}, "must be 0 to 1"),
        (
            {"operating_points": {"balanced": {"threshold": float("nan"), "sensitivity": 1, "specificity": 1}}},
            "must be 0 to 1",
        ),
        ({"default_operating_point": "other"}, "not among those listed"),
        ({"typicality_limit": 3}, "not 0 to 1"),
        ({"provenance": None}, "Provenance is not an object"),
        ({"input_width": 0}, "not between 1 and 4096"),
        ({"labels": ["NORMAL"]}, "two labels"),
    ],
)
def test_refuses(contract: Contract, change: dict[str, Any], message: str) -> None:
    values = {**json.loads(contract.to_json()), **change}
    with pytest.raises(ContractError, match=message):
        Contract.from_json(json.dumps(values))


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Contract) if field.name == "name"])
def test_refuses_missing_keys(contract: Contract, key: str) -> None:
    values = json.loads(contract.to_json())
    del values[key]
    with pytest.raises(ContractError, match=key):
        Contract.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_refuses_what_is_no_contract(text: str) -> None:
    with pytest.raises(ContractError):
        Contract.from_json(text)
