"""The processor's name and instruction sets, from texts as Linux writes them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from pneumoscope import machine

X86 = """processor\t: 0
model name\t: Some(R) Processor @ 2.00GHz
flags\t\t: fpu avx2 avx512f avx512_vnni amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp i8mm
"""


@pytest.mark.parametrize(
    ("text", "name", "sets"),
    [
        (X86, "Some(R) Processor @ 2.00GHz", ("avx2", "avx512f", "avx512_vnni", "amx_int8")),
        (ARM, None, ("asimddp", "i8mm")),
        (None, None, ()),
    ],
    ids=["x86", "arm", "not Linux"],
)
def test_the_processor_is_told(
    text: str | None, name: str | None, sets: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "cpuinfo"
    if text is not None:
        information.write_text(text, encoding="utf-8")
    monkeypatch.setattr(machine, "_INFORMATION", information)
    assert machine.instruction_sets() == sets
    assert machine.processor_name() == (name or platform.processor() or platform.machine())
