"""What a mask of lungs makes of a judgement: a refusal, a note, or nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.errors import ContractError
from pneumoscope.model.contract import Contract, OperatingPoint, Provenance, Quantization
from pneumoscope.model.lung_field import LungField


def mask(*, rows: slice = slice(20, 80), columns: slice = slice(20, 76)) -> NDArray[np.float32]:
    lungs = np.zeros((96, 96), np.float32)
    lungs[rows, columns] = 0.95
    return lungs


def test_lungs_in_the_middle_say_nothing() -> None:
    field = LungField(classifier_side=128)
    assert field.reasons(mask()) == ()
    assert field.notes(mask()) == ()


def test_too_little_lung_is_a_reason() -> None:
    field = LungField(classifier_side=128)
    (reason,) = field.reasons(mask(rows=slice(40, 45), columns=slice(40, 60)))
    assert reason.startswith("no lung fields found")
    assert "1.1%" in reason and "6%" in reason
    assert field.reasons(np.full((96, 96), 0.8, np.float32)), "what the network doubts is no lung"


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (slice(0, 80), slice(20, 76), "upper edge"),
        (slice(20, 96), slice(20, 76), "lower edge"),
        (slice(20, 80), slice(0, 76), "left edge"),
        (slice(0, 80), slice(20, 96), "upper and right edges"),
    ],
)
def test_lungs_at_an_edge_are_a_note(rows: slice, columns: slice, said: str) -> None:
    (note,) = LungField(classifier_side=128).notes(mask(rows=rows, columns=columns))
    assert said in note and "cut off" in note


def test_a_few_pixels_at_an_edge_are_none() -> None:
    assert LungField(classifier_side=128).notes(mask(rows=slice(0, 80), columns=slice(40, 48))) == ()


@pytest.mark.parametrize(
    "values", [{"classifier_side": 0}, {"classifier_side": 128.5}, {"least_share": -0.1}, {"edge_share": float("nan")}]
)
def test_impossible_limits_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ContractError, match="lung field"):
        LungField(**{"classifier_side": 128, **values})  # type: ignore[arg-type]


def contract() -> Contract:
    return Contract(
        name="x",
        version="1.0.0",
        graph_sha256="0" * 64,
        quantization=Quantization.FLOAT32,
        operating_points={"balanced": OperatingPoint(0.5, 0.9, 0.9)},
        default_operating_point="balanced",
        typicality_limit=0.5,
        parameters=1,
        provenance=Provenance("x", 0, "0" * 64, 1),
    )


def test_contract_carries_the_lung_field() -> None:
    made = dataclasses.replace(contract(), lung_field=LungField(128, least_share=0.05))
    assert Contract.from_json(made.to_json()) == made


def test_contract_of_an_older_file_has_none() -> None:
    import json

    values = json.loads(contract().to_json())
    del values["lung_field"]
    assert Contract.from_json(json.dumps(values)).lung_field is None


def test_contract_with_a_faulty_lung_field_is_refused() -> None:
    import json

    values = json.loads(contract().to_json())
    for faulty in ({"classifier_side": 128, "colour": "red"}, {"least_share": 0.1}, 7):
        with pytest.raises(ContractError):
            Contract.from_json(json.dumps({**values, "lung_field": faulty}))
