"""Documents say what was measured and nothing of this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_figures_are_those_of_the_json() -> None:
    script = [sys.executable, str(ROOT / "tools" / "figures.py"), "--check"]
    found = subprocess.run(script, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_readme_is_short_and_carries_the_notice() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 150
    assert "Research use only. Not a medical device." in readme


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_local_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)", prose):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_commands_in_the_documents_exist() -> None:
    from pneumoscope.cli.main import COMMANDS

    named = {
        match
        for document in DOCUMENTS
        for match in re.findall(r"^    pneumoscope ([a-z]+)", document.read_text("utf-8"), flags=re.MULTILINE)
    }
    assert named
    assert named <= set(COMMANDS)
