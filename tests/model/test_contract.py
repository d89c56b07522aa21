"""The contract survives a round trip and refuses what no client could honour."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pneumoscope.errors import ContractError
from pneumoscope.model.contract import CONTRACT_VERSION, Contract, OperatingPoint, Provenance, Quantization
from pneumoscope.model.operating_point import (
    CalibrationRecord,
    ConformalBand,
    PopulationCoverage,
    PopulationRates,
)


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


@pytest.fixture
def calibrated(contract: Contract) -> Contract:
    """A contract of version 2 with everything that it may hold."""
    ci95 = {"sensitivity": (0.85, 0.94), "specificity": (0.7, 0.88)}
    adults = PopulationRates("adults", 100, 200, 0.9, 0.8, ci95)
    covered = PopulationCoverage("adults", "NORMAL", 200, 0.91, (0.86, 0.94), 0.2)
    points = {
        "balanced": OperatingPoint(0.5, 0.9, 0.8, ci95, (adults,)),
        "high_sensitivity": OperatingPoint(0.2, 0.99, 0.5, ci95),
    }
    return dataclasses.replace(
        contract,
        operating_points=points,
        conformal=ConformalBand(0.9, 0.3, 0.75, (covered,)),
        calibration=CalibrationRecord(0.5, "out-of-fold scores", 100, 200, "framing tells nothing"),
        contract_version=2,
    )


def test_version_2_round_trip(calibrated: Contract) -> None:
    read = Contract.from_json(calibrated.to_json())
    assert read == calibrated
    assert read.operating_points["balanced"].populations[0].ci95["sensitivity"] == (0.85, 0.94)
    assert read.prevalence == 0.5


def test_a_file_of_version_1_stays_what_it_was(contract: Contract) -> None:
    values = json.loads(contract.to_json())
    assert values["contract_version"] == 1
    assert not {"conformal", "calibration"} & set(values)
    assert set(values["operating_points"]["balanced"]) == {"threshold", "sensitivity", "specificity"}
    assert contract.prevalence is None


def test_version_2_refuses_a_default_beside_one_half(calibrated: Contract) -> None:
    for change, message in (
        ({"operating_points": {"balanced": OperatingPoint(0.4, 0.9, 0.8)}}, r"is at 0\.4; .* must be at 0\.5"),
        ({"calibration": None}, "calibrated at a prevalence of 0.5"),
        ({"calibration": CalibrationRecord(0.3, "x", 1, 1)}, "calibrated at a prevalence of 0.5"),
        ({"conformal": ConformalBand(0.9, 0.6, 0.75)}, "must hold the default threshold"),
    ):
        with pytest.raises(ContractError, match=message):
            dataclasses.replace(calibrated, **change)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("conformal", {"coverage": 2, "lower": 0, "upper": 1}, "coverage is 2"),
        ("conformal", {"coverage": 0.9, "lower": 0.7, "upper": 0.3}, "must not fall"),
        ("conformal", {"coverage": 0.9, "lower": 0.3, "upper": 0.7, "populations": 3}, "not a list"),
        ("calibration", {"prevalence": 1, "source": "x", "pneumonias": 1, "normals": 1}, "strictly between"),
        ("calibration", [], "not an object"),
    ],
)
def test_version_2_refuses(calibrated: Contract, key: str, value: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Contract.from_json(json.dumps({**json.loads(calibrated.to_json()), key: value}))


@pytest.mark.parametrize("probability", np.linspace(0, 1, 41))
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_a_set_never_speaks_against_its_label(probability: float, threshold: float) -> None:
    labels = ("NORMAL", "PNEUMONIA")
    given = labels[int(probability >= threshold)]
    opened = ConformalBand(0.9, 0.3, 0.7).labels(probability, labels, given)
    assert given in opened
    assert set(opened) <= set(labels)
    if 0.3 <= probability <= 0.7:
        assert opened == labels
    elif threshold == 0.5:
        assert opened == (given,)


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
