"""What can be said about the container without a Docker engine."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pneumoscope.cli.serve import serve

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="hadolint is installed on x86-64 Linux only"
)
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT, "hadolint is missing; `make` installs it with the tests' other packages"
    run = subprocess.run([HADOLINT, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert copied == ["requirements/web.txt", "pyproject.toml", "README.md", "LICENSE", "src"]
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept


def test_the_command_knows_the_options_that_the_container_gives() -> None:
    given = set(re.findall(r"--[a-z-]+", " ".join(re.findall(r"^(?:ENTRYPOINT|CMD) \[.*", DOCKERFILE, re.MULTILINE))))
    assert given == {"--host", "--port", "--token-file"}
    text = CliRunner().invoke(serve, ["--help"]).output
    assert all(option in text for option in given)


def test_compose_runs_it_without_rights() -> None:
    content = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    service = content["services"]["pneumoscope"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    (secret,) = service["secrets"]
    assert f"/run/secrets/{secret}" in DOCKERFILE
    assert set(content["secrets"]) == {secret}
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
