"""Model files that somebody made to do harm, or broke: each is a ModelError."""

from __future__ import annotations

import io
import json
import zipfile
from importlib import resources
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumoscope.errors import ModelError
from pneumoscope.model.classifier import Model
from pneumoscope.model.packaging import unpack
from pneumoscope.model.prediction import Status
from pneumoscope.model.runtime import Outputs
from support.phantom import chest_phantom
from support.web_kit import StandIn

BUILT_IN = (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()
PACKAGE = unpack(BUILT_IN, "built-in")
CONTRACT: dict[str, Any] = json.loads(PACKAGE.contract.to_json())


def packed(contract: str, graph: bytes = PACKAGE.graph, **options: Any) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", **options) as entries:
        entries.writestr("contract.json", contract)
    return graph + archive.getvalue()


def with_flag(content: bytes, flag: int, method: int = 0) -> bytes:
    """Set a flag and a compression method in the local and the central header."""
    data = bytearray(content)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rfind(signature)
        data[start + at] |= flag
        data[start + at + 2] = method
    return bytes(data)


@pytest.mark.parametrize(
    "content",
    [
        with_flag(packed(json.dumps(CONTRACT)), flag=1),
        with_flag(packed(json.dumps(CONTRACT)), flag=0, method=97),
        with_flag(packed(json.dumps(CONTRACT)), flag=0, method=zipfile.ZIP_DEFLATED),
        packed("[" * 200_000),
        packed(json.dumps(CONTRACT).replace('"labels"', '"labels" : [], "labels"').encode("utf-16").decode("latin-1")),
        packed("0" * 100_000_000, compression=zipfile.ZIP_DEFLATED),
    ],
    ids=["encrypted", "unknown compression", "not deflated", "nested", "other encoding", "bomb"],
)
def test_odd_archives(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^model\.tflite: "):
        unpack(content, "model.tflite")


@pytest.mark.parametrize("value", [None, True, 7, -1, 1e400, "x", [], ["a"], [1, 2], {}, {"a": 1}], ids=str)
@pytest.mark.parametrize("key", sorted(CONTRACT))
def test_values_of_wrong_types(key: str, value: Any) -> None:
    try:
        package = unpack(packed(json.dumps({**CONTRACT, key: value})), "model.tflite")
        model = Model(package, origin="model.tflite")
        json.dumps(model.predict(chest_phantom(200)).as_dict())
    except ModelError as error:
        assert "contract" in str(error) or "model.tflite" in str(error)


class Broken(StandIn):
    """Answers with what is no number."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        sound = {"probability": 0.2, "subtype": None, "heatmap": np.zeros((7, 7), np.float32), "typicality": 0.9}
        return Outputs(**(sound | self.values))


@pytest.mark.parametrize(
    "values",
    [
        {"probability": float("nan")},
        {"probability": 1.5},
        {"typicality": float("nan")},
        {"typicality": float("inf")},
        {"heatmap": np.full((7, 7), np.nan, np.float32)},
        {"subtype": np.array([np.nan, 0, 1], np.float32)},
    ],
)
def test_no_number_is_an_error_and_never_normal(values: dict[str, Any]) -> None:
    result = Broken(**values).predict(chest_phantom(200))
    assert result.status is Status.ERROR and result.label is None and result.probability is None
    assert "answers with what is no number" in result.reasons[0]
