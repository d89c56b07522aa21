"""Every kind of bad model file is one clear message, naming file and cause, in every command that opens one."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from pneumoscope.model.contract import CONTRACT_VERSION, Contract
from pneumoscope.model.packaging import pack, unpack
from support.cli_kit import Run

BUILT_IN = (resources.files("pneumoscope") / "models" / "builtin.tflite").read_bytes()
PACKAGE = unpack(BUILT_IN, "built-in")


def with_contract(**values: object) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("contract.json", json.dumps({**json.loads(PACKAGE.contract.to_json()), **values}))
    return PACKAGE.graph + archive.getvalue()


def flipped() -> bytes:
    content = bytearray(BUILT_IN)
    content[len(PACKAGE.graph) // 2] ^= 255
    return bytes(content)


def other_shape() -> bytes:
    """The built-in graph with three channels in its input's shape, soundly packed."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(PACKAGE.graph, 0))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = [1, 224, 224, 3]
    builder = flatbuffers.Builder(len(PACKAGE.graph))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return pack(bytes(builder.Output()), PACKAGE.contract, "")


def other_size() -> bytes:
    contract = Contract.from_json(json.dumps({**json.loads(PACKAGE.contract.to_json()), "input_width": 200}))
    return pack(PACKAGE.graph, contract, "")


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"hello, I am text", "is not a LiteRT (.tflite) file"),
    "no-contract": (lambda: PACKAGE.graph, "carries no contract"),
    "wrong-hash": (flipped, "the graph is not the one its contract was written for"),
    "cut-short": (lambda: BUILT_IN[:-1000], "carries no contract (a .tflite from elsewhere, or cut short)"),
    "cut-in-the-graph": (lambda: BUILT_IN[: len(PACKAGE.graph) // 2], "cut short"),
    "newer": (lambda: with_contract(contract_version=CONTRACT_VERSION + 1), "install a newer one"),
}
UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "other-shape": (other_shape, "the graph takes uint8 [1, 224, 224, 3], uint8 [1, height, width, 1] is needed"),
    "other-size": (other_size, "the graph takes 224 x 224 pixels and its contract says 200 x 224"),
}


def check(run: Run, file: Path, cause: str, *command: str | Path) -> None:
    result = run(*command)
    assert result.exit_code not in (0, None)
    assert str(file) in result.stderr
    assert cause in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("kind", UNREADABLE)
def test_no_command_opens_it(run: Run, chest: Path, tmp_path: Path, kind: str) -> None:
    make, cause = UNREADABLE[kind]
    file = tmp_path / f"{kind}.tflite"
    file.write_bytes(make())
    for command in (("models", "show", file), ("bench", file), ("predict", chest, "--model", file)):
        check(run, file, cause, *command)


@pytest.mark.parametrize("kind", UNUSABLE)
def test_no_command_runs_it(run: Run, chest: Path, tmp_path: Path, kind: str) -> None:
    make, cause = UNUSABLE[kind]
    file = tmp_path / f"{kind}.tflite"
    file.write_bytes(make())
    for command in (("bench", file), ("predict", chest, "--model", file)):
        check(run, file, cause, *command)


def test_bench_takes_a_file_or_model_but_not_both(run: Run, open_minded_model: Path) -> None:
    result = run("bench", open_minded_model, "--runs", "2", "--threads", "1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"]["name"] == "open-minded"
    both = run("bench", open_minded_model, "--model", open_minded_model)
    assert both.exit_code == 2
    assert "give one model, not two" in both.stderr
