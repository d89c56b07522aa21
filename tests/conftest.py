"""What all tests share: where the real radiographs are, and that their absence is not overlooked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports TensorFlow: its start-up messages would drown the tests' own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

VARIABLE = "PNEUMOSCOPE_DATA"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
_MISSING = f"{VARIABLE} is not set or is no folder: tests on real radiographs do not run"


def _real_data() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value) if value and Path(value).is_dir() else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """In CI, real radiographs that are there must be used."""
    if _real_data() is None and os.environ.get("CI") and _BESIDE.is_dir():
        pytest.exit(f"{_MISSING}, although {_BESIDE.name} is there; .ci/run sets it", returncode=1)


def pytest_report_header() -> str:
    """Say once where the real radiographs come from."""
    data = _real_data()
    return f"real radiographs: {VARIABLE} set" if data else f"WARNING: {_MISSING}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it again where it is seen."""
    if _real_data() is None:
        terminalreporter.section("REAL RADIOGRAPHS MISSING", sep="!", red=True)
        terminalreporter.line(_MISSING)


@pytest.fixture(scope="session")
def radiographs() -> Path:
    """The folder of real radiographs: ``chest_xray_224/`` and, where there, ``native/``."""
    data = _real_data()
    if data is None:
        pytest.skip(_MISSING)
    return data
