"""Which files a method is made of: those that define its classes, and what they import from their own package.

Read from the source, so that nothing of a method is run to count it. Baselines and plugins alike import each other relatively.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from relbench_harness.errors import InputError
from relbench_harness.home import home

PACKAGE = "relbench_harness"
BASELINES = f"{PACKAGE}.baselines"


def method_files(targets: Iterable[str]) -> set[Path]:
    """The files of the classes that the dotted names `targets` name, and those that they import, transitively.

    A target in the harness's shared package has none. A package that holds a module counts by its `__init__`, which is run with it,
    unless that is empty.

    Raises:
        InputError: No module holds a target.
    """
    found: set[Path] = set()
    waiting = [path for target in targets if (path := module_file(target)) is not None]
    while waiting:
        path = waiting.pop()
        if path not in found and path.stat().st_size:
            found.add(path)
            waiting += [*_packages(path), *_imported(path)]
    return found


def module_file(target: str) -> Path | None:
    """The file that defines a dotted name; None in the shared package.

    Raises:
        InputError: There is none.
    """
    module = target
    while "." in module:
        module = module.rpartition(".")[0]
        if module.startswith(f"{BASELINES}."):
            found = _file(home("baselines").joinpath(*module.removeprefix(f"{BASELINES}.").split(".")))
        elif module == BASELINES:
            break
        elif module == PACKAGE or module.startswith(f"{PACKAGE}."):
            return None
        else:
            found = _source(module)
        if found is not None:
            return found
    raise InputError(f"no module holds {target!r}, so its lines cannot be counted")


def _file(module: Path) -> Path | None:
    """The file of the module or package at `module`, which has no suffix."""
    candidates = (module.with_name(f"{module.name}.py"), module / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _source(module: str) -> Path | None:
    """Where the source of an installed module lies."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    source = Path(spec.origin) if spec is not None and spec.origin else Path()
    return source if source.suffix == ".py" and source.is_file() else None


def _packages(path: Path) -> Iterator[Path]:
    """The `__init__` of every package that holds the module."""
    folder, top = path.parent, home("baselines")
    while (folder / "__init__.py").is_file():
        yield folder / "__init__.py"
        if folder == top:
            return
        folder = folder.parent


def _imported(path: Path) -> Iterator[Path]:
    """The files that a module imports relatively: modules, packages, and modules named as members of their package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            modules = [base] if node.module else []
            for module in (*modules, *(base / alias.name for alias in node.names)):
                found = _file(module)
                if found is not None:
                    yield found
            if not node.module and (base / "__init__.py").is_file():
                yield base / "__init__.py"
