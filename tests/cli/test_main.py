"""The entry point: lazy, quick, and with the promised exit status."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import COMMANDS, Command, LazyGroup, cli
from pneumoscope.errors import DataError, UsageError

HEAVY = ("numpy", "PIL", "ai_edge_litert", "tensorflow", "keras", "flask", "gradio", "tqdm", "pydicom")


def start(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
    """Start the command as a user does."""
    # A test run in the background has SIGINT ignored, and so would its children; a user's terminal has not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pneumoscope.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, **pipes)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from pneumoscope.cli.main import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_help_lists_every_command_and_the_notice() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "Research use only. Not a medical device." in result.stdout
    for name, command in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert command.summary in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{name} [OPTIONS]" in result.stdout


@pytest.mark.parametrize("arguments", [["no-such-command"], ["predict"], ["predict", "--no-such-option", "x"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


def group_around(error: BaseException, extra: str | None = None) -> tuple[LazyGroup, pytest.MonkeyPatch]:
    """A group whose one command raises; the command lives in a module made here."""

    @click.command()
    def broken() -> None:
        raise error

    patch = pytest.MonkeyPatch()
    patch.setattr("pneumoscope.cli.streams.broken", broken, raising=False)
    return LazyGroup("group", table={"broken": Command("pneumoscope.cli.streams:broken", "Breaks.", extra)}), patch


@pytest.mark.parametrize(
    ("error", "extra", "status", "message"),
    [
        (UsageError("x: no images"), None, 2, "Error: x: no images\n"),
        (DataError("x: no manifest"), None, 1, "Error: x: no manifest\n"),
        (KeyboardInterrupt(), None, 130, "Interrupted.\n"),
        (
            ModuleNotFoundError("No module named 'flask'", name="flask"),
            "web",
            1,
            "Error: `pneumoscope broken` (flask is not installed) needs the 'web' extra: "
            "pip install 'pneumoscope[web]'\n",
        ),
    ],
)
def test_our_exceptions_end_as_one_line(error: BaseException, extra: str | None, status: int, message: str) -> None:
    group, patch = group_around(error, extra)
    with patch.context():
        result = CliRunner().invoke(group, ["broken"])
    patch.undo()
    assert (result.exit_code, result.stdout, result.stderr) == (status, "", message)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a defect"), ModuleNotFoundError("No module named 'pneumoscope.lost'", name="pneumoscope.lost")],
)
def test_a_defect_is_not_dressed_up(error: Exception) -> None:
    group, patch = group_around(error, "web")
    result = CliRunner().invoke(group, ["broken"])
    patch.undo()
    assert isinstance(result.exception, type(error))
    assert result.stderr == ""


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    process = start("predict", "-")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("result")  # the header: the model is open, the command waits for paths
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in errors


def test_a_reader_that_leaves_is_no_crash(chest: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start("predict", chest, chest, "--json", stdout=writing)
    os.close(writing)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


def test_an_extra_that_is_missing_is_named_before_the_command_is_there() -> None:
    table = {"page": Command("a_library_that_is_not_here:command", "Serves.", "web")}
    result = CliRunner().invoke(LazyGroup("group", table=table), ["page"])
    assert result.exit_code == 1
    assert "pip install 'pneumoscope[web]'" in result.stderr
