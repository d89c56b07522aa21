"""The notebook runs from its first cell to its last, and the committed one is its executed twin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import notebook
import pytest


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    """The notebook as it is in the repository."""
    return nbformat.read(notebook.NOTEBOOK, as_version=4)


def outputs_of(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(output: nbformat.NotebookNode) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/markdown", ""))


@pytest.mark.slow
def test_it_runs_on_drawn_chests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMOSCOPE_DATA", str(tmp_path / "nothing-here"))
    monkeypatch.setenv("PNEUMOSCOPE_NOTEBOOK", "test")
    monkeypatch.setenv("PNEUMOSCOPE_NOTEBOOK_OUT", str(tmp_path))
    book = notebook.execute(notebook.read_source(), timeout=500)
    notebook.tidy(book)
    text = "\n".join(map(text_of, outputs_of(book)))
    assert "drawn chests" in text
    assert re.search(r"^weights: those after epoch 3, the last$", text, re.MULTILINE)
    assert "| balanced |" in text  # the calibration's operating points
    assert "| sensitivity |" in text
    assert "| status | refused |" in text  # the leg
    assert re.search(r"ran in \d+\.\d minutes, setting 'test'", text)
    exports = json.loads((tmp_path / "exported" / "parity.json").read_text("utf-8"))["exports"]
    assert [made["quantization"] for made in exports] == ["float32", "dynamic"]
    assert exports[0]["largest_difference"] < 1e-4


def test_committed_cells_are_those_of_the_source() -> None:
    assert notebook.differing_cells() == []


def test_a_changed_cell_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    source = notebook.read_source()
    source.cells[3].source += "\nprint()"
    monkeypatch.setattr(notebook, "read_source", lambda: source)
    assert notebook.differing_cells() == ["cell 3"]


def test_committed_outputs_are_of_a_whole_run_on_the_real_data(committed: nbformat.NotebookNode) -> None:
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.output_type in ("stream", "display_data") for output in outputs_of(committed))
    text = "\n".join(map(text_of, outputs_of(committed)))
    assert "radiographs of the Kermany data set" in text
    assert re.search(r"ran in \d+\.\d minutes, setting '(minutes|real)'", text)


def test_committed_outputs_tell_nothing_of_the_machine_and_stay_small(committed: nbformat.NotebookNode) -> None:
    assert not re.search(r"/(home|root|work|tmp|Users)/", notebook.NOTEBOOK.read_text("utf-8"))
    assert notebook.NOTEBOOK.stat().st_size < 3e6
    # Radiographs of the data are drawn by the one cell that names their kind of answer; it printed nothing.
    drawing = [cell for cell in committed.cells if "if SHOW_RADIOGRAPHS:" in cell.source]
    assert len(drawing) == 1
    assert drawing[0].outputs == []


def test_radiographs_stay_out_unless_asked_for() -> None:
    source = notebook.SOURCE.read_text("utf-8")
    cell = source.split("if SHOW_RADIOGRAPHS:")[1].split("# %%")[0]
    outside = source.replace(cell, "")
    assert "row.path), " in cell
    assert not re.search(r"(?:panel|imshow)\(.*row\.path", outside)
