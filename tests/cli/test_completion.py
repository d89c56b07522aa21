"""The tab key: names and options are completed, and nothing heavy is imported for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pneumoscope.cli.main import COMMANDS, cli

HEAVY = ("numpy", "PIL", "tensorflow", "keras", "flask", "gradio", "pydicom", "matplotlib", "jinja2", "sklearn")


def complete(line: str) -> tuple[list[str], str]:
    """What bash would be offered at the end of a line, and the heavy modules that were imported for it."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_PNEUMOSCOPE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr))\n"
        "from pneumoscope.cli.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return [item.partition(",")[2] for item in done.stdout.splitlines()], done.stderr.strip().splitlines()[-1]


def test_names_of_commands_without_importing_them() -> None:
    offered, heavy = complete("pneumoscope ")
    assert offered == list(COMMANDS)
    assert heavy == "heavy: []"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pneumoscope ex", ["explain", "export"]),
        ("pneumoscope predict --op", ["--operating-point"]),
        ("pneumoscope explain --method ", ["grad-cam", "grad-cam++"]),
        ("pneumoscope data ", ["audit", "fetch", "split"]),
        ("pneumoscope models s", ["show"]),
        ("pneumoscope --v", ["--version"]),
    ],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert complete(line)[0] == expected


def test_a_slip_of_the_pen_is_answered_with_what_was_meant() -> None:
    result = CliRunner().invoke(cli, ["predct", "x.png"])
    assert result.exit_code == 2
    assert "No such command 'predct'. Did you mean 'predict'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from pneumoscope.cli.main import main; main()"],
        env={**os.environ, "_PNEUMOSCOPE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"_PNEUMOSCOPE_COMPLETE={shell}_complete" in done.stdout
