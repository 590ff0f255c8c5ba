"""Backends know no engine: of their own package they import the protocol alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import relbench_harness.features.dfs as package
from relbench_harness.features.dfs import backend

PACKAGE = "relbench_harness.features.dfs"


def siblings(path: Path) -> set[str]:
    """Modules of the package that a file imports, at whatever depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(PACKAGE)):
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
            found |= set(names) if node.module in (None, PACKAGE) else {node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(PACKAGE)}
    return found


@pytest.mark.parametrize("name", ["duckdb", "spark"])
def test_a_backend_imports_the_protocol_alone(name: str) -> None:
    folder = Path(package.__file__ or "").parent
    assert siblings(folder / f"{name}.py") == {backend.__name__}


def test_the_protocol_imports_no_module_of_the_package() -> None:
    assert siblings(Path(backend.__file__)) == set()


def test_other_imports_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        f"from {PACKAGE} import engine\nfrom . import sql\nimport {PACKAGE}.scope\nfrom {PACKAGE}.stream import S"
    )
    assert siblings(file) == {f"{PACKAGE}.{name}" for name in ("engine", "sql", "scope", "stream")}
