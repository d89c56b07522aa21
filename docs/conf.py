"""Sphinx' settings: Markdown through MyST, the API from docstrings, the notebook with its committed outputs."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import MockFinder

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
REPOSITORY = "https://github.com/pneumoscope/pneumoscope/blob/main"
NOTEBOOK = "pneumonia_detection.ipynb"

project = "Pneumoscope"
author = "The Pneumoscope developers"
release = version = installed_version("pneumoscope")
html_title = "Pneumoscope"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "_reports", "jupyter_execute"]  # all are written by the build
html_extra_path = ["_reports"]  # plots and pages of reports/, at the address reports/ of the site
templates_path: list[str] = []

myst_heading_anchors = 4  # links such as shrinking.md#checking-a-translation, as GitHub has them
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # tables in outputs

# Seconds each to import, and no part of a signature. autodoc's own list of mocks is off when it reads sources.
sys.meta_path.insert(0, MockFinder(["ai_edge_litert", "ai_edge_quantizer", "keras", "tensorflow"]))
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "announcement": "Research use only. Not a medical device.",
    "source_repository": "https://github.com/pneumoscope/pneumoscope/",
    "source_branch": "main",
    "source_directory": "docs/",
}

_OUTSIDE = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")


def _link_to_repository(app: Sphinx, docname: str, source: list[str]) -> None:  # noqa: ARG001
    """Links to files outside ``docs/`` lead to the repository; those to the notebook lead to its page here."""
    folder = posixpath.dirname(docname)

    def replaced(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if target == f"notebooks/{NOTEBOOK}":
            return f"{match[1]}/{NOTEBOOK}"
        return match[0] if target.startswith("docs/") else f"{match[1]}{REPOSITORY}/{target}"

    source[0] = _OUTSIDE.sub(replaced, source[0])


def _copy_notebook(app: Sphinx, config: object) -> None:  # noqa: ARG001
    """The notebook is kept outside ``docs/``; Sphinx only sees what lies in it."""
    there, here = ROOT / "notebooks" / NOTEBOOK, DOCS / NOTEBOOK
    if not here.exists() or here.read_bytes() != there.read_bytes():
        shutil.copyfile(there, here)


def _draw_reports(app: Sphinx, config: object) -> None:  # noqa: ARG001
    """Plots and pages are made from the JSON and CSV in ``reports/``, in a process without this build's mocks."""
    made, sources = DOCS / "_reports" / "reports" / "index.html", sorted((ROOT / "reports").glob("*/out-of-fold.csv"))
    if not made.is_file() or any(file.stat().st_mtime > made.stat().st_mtime for file in sources):
        command = [sys.executable, str(ROOT / "tools" / "report_pages.py")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("config-inited", _draw_reports)
    app.connect("config-inited", _copy_notebook)
    app.connect("source-read", _link_to_repository)
