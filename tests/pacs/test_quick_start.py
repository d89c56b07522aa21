"""The documents' quick start and their way to take the gateway away again, word for word."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dicom_tools import child_file
from support.orthanc import MISSING, is_installed, loopback_only

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "pacs.md"
FIND = """curl -s -u gateway:trial http://127.0.0.1:8042/tools/find -d '{"Level": "Series", "Query": {%s}}' >%s"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def network() -> Iterator[None]:
    if not is_installed() or not shutil.which("curl"):
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    if os.geteuid() != 0:
        pytest.skip("the quick start's ports may be taken here, and only root gets a network of its own")
    with loopback_only():
        yield


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("network")
def test_the_quick_start_works_word_for_word(tmp_path: Path) -> None:
    (tmp_path / "orthanc.json").write_text(blocks("json")[0])
    (tmp_path / "gateway.toml").write_text(blocks("toml")[0])
    (tmp_path / "radiograph.dcm").write_bytes(child_file(1))
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "pneumoscope"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pneumoscope "$@"\n')
    command.chmod(0o755)
    begin, radiograph, remove = blocks("bash")
    *removal, last = remove.strip().splitlines()
    script = "\n".join(
        [
            "set -e",
            begin,
            f"({radiograph.strip()}) | tee status.txt",
            FIND % ('"SeriesDescription": "RESEARCH ONLY*"', "before.json"),
            *removal,
            FIND % ('"SeriesDescription": "RESEARCH ONLY*"', "after.json"),
            FIND % ("", "all.json"),
            last,
        ]
    )
    path = f"{command.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok  ") == 5, done.stdout
    assert "FAIL" not in done.stdout
    status = (tmp_path / "status.txt").read_text()
    assert re.search(r"^(committed|refused) +1$", status, re.MULTILINE), status
    assert len(json.loads((tmp_path / "before.json").read_text())) >= 1
    assert json.loads((tmp_path / "after.json").read_text()) == []
    assert len(json.loads((tmp_path / "all.json").read_text())) >= 1, "the radiograph itself stays"
    assert not (tmp_path / "spool").exists()
