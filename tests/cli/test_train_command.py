"""``pneumoscope train`` and ``export`` as a user runs them: killed, resumed, exported, and the export judges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.cli_kit import Run
from support.tiny_data import write_tiny_data

pytestmark = pytest.mark.slow

RECIPE = """
name = "small"
network = "pneumonet"
folds = 2
batch_size = 8
ema = 0.9
statistics_batches = 3

[[stages]]
epochs = 3
size = 64
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_data(tmp_path_factory.mktemp("data"), patients=40)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "small.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def start(data: Path, recipe: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pneumoscope", "train", "--data"]
    command += [str(data), "--recipe", str(recipe), "--out", str(run), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def epochs_logged(run: Path) -> int:
    log = run / "fold-0" / "log.csv"
    return len(log.read_text("utf-8").splitlines()) - 1 if log.exists() else 0


@pytest.fixture(scope="module")
def killed_and_resumed(data: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A run that was killed after its first epoch and resumed; with what the resumed one printed."""
    run = tmp_path_factory.mktemp("runs") / "small"
    process = start(data, recipe, run)
    deadline = time.monotonic() + 240
    while epochs_logged(run) < 1 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert 1 <= epochs_logged(run) < 3
    resumed = start(data, recipe, run, "--resume")
    out, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err
    return run, out, err


def test_a_killed_run_is_finished(killed_and_resumed: tuple[Path, str, str]) -> None:
    run, out, err = killed_and_resumed
    assert epochs_logged(run) == 3
    assert "pneumonet: 1,157,051 parameters" in err
    assert "small, epoch 3 of 3" in out
    assert f"Next: pneumoscope export {run} --out DIR" in out


def test_a_run_is_not_overwritten(killed_and_resumed: tuple[Path, str, str], data: Path, recipe: Path) -> None:
    again = start(data, recipe, killed_and_resumed[0])
    out, err = again.communicate(timeout=240)
    assert again.returncode == 1
    assert not out
    assert "holds a run already; give --resume" in err
    assert "Traceback" not in err


def test_the_run_is_exported_and_judges(
    killed_and_resumed: tuple[Path, str, str], data: Path, run: Run, tmp_path: Path
) -> None:
    exported = run(
        "export", killed_and_resumed[0], "--out", tmp_path / "out", "--quantization", "float32", "--format", "litert"
    )
    assert exported.exit_code == 0, exported.output
    assert exported.stdout.startswith(str(tmp_path / "out")), "the converter's own words are in the output"
    (model,) = (tmp_path / "out").glob("*.tflite")
    judged = run("predict", data / "train" / "NORMAL", "--model", model, "--json")
    records = [json.loads(line) for line in judged.stdout.splitlines()]
    assert len(records) == 40
    assert {record["model"]["name"] for record in records} == {"small"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "missing", "--recipe", "pneumonet", "--out", "run"), "missing"),
        (("--data", ".", "--recipe", "resnet", "--out", "run"), "recipe 'resnet': unknown; built in are baseline-cnn"),
        (("--data", ".", "--recipe", "none.toml", "--out", "run"), "none.toml: no such recipe file"),
    ],
)
def test_wrong_usage_is_named(
    arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("train", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()
