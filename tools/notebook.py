"""Keeps notebooks/pneumonia_detection.ipynb the executed twin of the .py beside it.

python tools/notebook.py            execute the source and write the notebook with its outputs
python tools/notebook.py --check    fail if the notebook's cells are not those of the source

The environment says on what: PNEUMOSCOPE_DATA, PNEUMOSCOPE_NOTEBOOK (minutes or real). Radiographs of the data are left
out of the outputs, and so is what went to standard error (progress bars).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "notebooks" / "pneumonia_detection.py"
NOTEBOOK = SOURCE.with_suffix(".ipynb")
MOST_SECONDS_A_CELL = 24 * 3600
TENSORFLOW_LOG = re.compile(r"^(?:INFO|WARNING):tensorflow:.*\n?", re.MULTILINE)


def read_source() -> NotebookNode:
    """The notebook without outputs, as jupytext reads it from the source; the same text gives the same cell ids."""
    import jupytext

    notebook = jupytext.read(SOURCE)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def execute(notebook: NotebookNode, *, timeout: int = MOST_SECONDS_A_CELL) -> NotebookNode:
    """Run every cell in a fresh kernel, in the notebook's folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message holds it and its traceback.
    """
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(SOURCE.parent)}},
    )
    client.execute()
    return notebook


def tidy(notebook: NotebookNode) -> None:
    """Drop what is not a result: standard error, TensorFlow's log, and what names the machine's kernel."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = TENSORFLOW_LOG.sub("", output.text)
            cell.outputs = [
                output
                for output in cell.outputs
                if output.output_type != "stream" or (output.name == "stdout" and output.text.strip())
            ]
    notebook.metadata.pop("language_info", None)


def differing_cells() -> list[str]:
    """Cells of the notebook that are not those of the source, by number; a missing one too."""
    import nbformat

    wanted = read_source().cells
    there = nbformat.read(NOTEBOOK, as_version=4).cells
    pairs = zip(wanted, there, strict=False)
    found = [f"cell {i}" for i, (a, b) in enumerate(pairs) if (a.cell_type, a.source) != (b.cell_type, b.source)]
    if len(wanted) != len(there):
        found.append(f"{len(there)} cells instead of {len(wanted)}")
    return found


def main(arguments: list[str]) -> int:
    """Execute and write, or check."""
    if "--check" in arguments:
        if found := differing_cells():
            print(f"{NOTEBOOK.name}: {', '.join(found)} not as in {SOURCE.name}; run it again", file=sys.stderr)
            return 1
        return 0
    import nbformat

    os.environ.setdefault("PNEUMOSCOPE_NOTEBOOK_RADIOGRAPHS", "0")
    notebook = execute(read_source())
    tidy(notebook)
    nbformat.write(notebook, NOTEBOOK)
    print(f"written: {NOTEBOOK.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
