"""The one-file model: any ZIP reader opens it, the same contents give the same bytes, damage is noticed."""

from __future__ import annotations

import io
import json
import zipfile
from importlib import resources
from pathlib import Path

import pytest

from pneumoscope.errors import ContractError, ModelFileError
from pneumoscope.model.contract import CONTRACT_VERSION
from pneumoscope.model.packaging import pack, read_package, unpack


@pytest.fixture(scope="module")
def content() -> bytes:
    return (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()


def test_any_zip_reader_opens_it(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["contract.json", "labels.txt", "card.md"]
        assert archive.read("labels.txt").decode().split() == ["NORMAL", "PNEUMONIA"]
        assert archive.testzip() is None


def test_packing_again_gives_the_same_bytes(content: bytes) -> None:
    package = unpack(content, "built-in")
    assert pack(package.graph, package.contract, package.card) == content


def test_the_built_in_model_keeps_its_promises(content: bytes) -> None:
    package = unpack(content, "built-in")
    assert len(content) <= 6_000_000
    assert package.contract.parameters <= 5_000_000
    assert "Not a medical device" in package.card
    assert {"balanced", "high_sensitivity", "high_specificity"} == set(package.contract.operating_points)


def _changed(content: bytes, **values: object) -> bytes:
    package = unpack(content, "built-in")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("contract.json", json.dumps({**json.loads(package.contract.to_json()), **values}))
    return package.graph + archive.getvalue()


def test_damage_is_named(content: bytes, tmp_path: Path) -> None:
    package = unpack(content, "built-in")
    broken = bytearray(content)
    broken[len(package.graph) // 2] ^= 255
    cases: dict[str, tuple[bytes, type[Exception], str]] = {
        "empty": (b"", ModelFileError, "not a LiteRT"),
        "text": (b"hello, I am text", ModelFileError, "not a LiteRT"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\n", ModelFileError, "Git LFS pointer"),
        "bare": (package.graph, ModelFileError, "carries no contract"),
        "cut": (content[:-100], ModelFileError, "carries no contract"),
        "flipped": (bytes(broken), ModelFileError, "not the one its contract was written for"),
        "hash": (_changed(content, graph_sha256="00" * 32), ModelFileError, "not the one its contract"),
        "newer": (_changed(content, contract_version=CONTRACT_VERSION + 1), ContractError, "install a newer one"),
        "unknown": (_changed(content, colour="grey"), ContractError, "unknown keys colour"),
    }
    for name, (data, kind, message) in cases.items():
        file = tmp_path / f"{name}.tflite"
        file.write_bytes(data)
        with pytest.raises(kind, match=message) as caught:
            read_package(file)
        assert str(file) in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_package(tmp_path / "none.tflite")
