"""The notebook of the examples runs from top to bottom in a kernel of its own, and shows what its committed outputs show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def shown(notebook: Any) -> list[set[str]]:
    """The media of the value that each code cell shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in cells]


@pytest.mark.slow
def test_it_runs_and_shows_what_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    committed = shown(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert shown(notebook) == committed and any("text/html" in kinds for kinds in committed)


def test_what_is_committed_names_no_folder_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"(/home|/work|/root|/Users|/tmp|site-packages)\b", text) and '"stderr"' not in text
