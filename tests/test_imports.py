"""The direction of imports, read from the source: rooms import the rooms below them, and nobody names a baseline."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAFS = {"errors", "ending", "timing", "home", "plugins", "progress"}
"""Modules that anyone may import and that import none but each other."""

BELOW: Mapping[str, set[str]] = {
    **{leaf: set() for leaf in LEAFS},
    "data": set(),
    # defaults that the shell shows before it loads any package for data
    "protocol.budget": set(),
    "protocol.method": {"data", "protocol.budget"},
    # what a method chooses on validation, it chooses by the task's own metric
    "protocol.metrics": {"data", "protocol.method"},
    "protocol.mixture": {"data"},
    "protocol.intervals": set(),
    "temporal": {"data", "protocol.method"},
    "features": {"data", "temporal", "protocol.method"},
    "graph": {"data", "temporal", "protocol.method"},
    "baselines": {
        "data",
        "temporal",
        "features",
        "graph",
        "protocol.method",
        "protocol.metrics",
        "protocol.mixture",
        "protocol.intervals",
    },
    "protocol": {"data", "protocol.budget", "protocol.method", "protocol.metrics", "protocol.intervals"},
    "board": {"data", "protocol", "protocol.method", "protocol.metrics", "protocol.mixture"},
    "sweep": {"data", "protocol", "protocol.budget", "protocol.method", "protocol.metrics", "board"},
    "authoring": {"data", "protocol", "protocol.method", "protocol.metrics"},
    # a predictor is explained by what it answers, and by what it offers in the words of `features`
    "explain": {"data", "temporal", "features", "graph", "protocol", "protocol.method", "protocol.metrics", "board"},
}
"""Room → the rooms that it may import, itself and the leafs aside. Rooms not named here are the shell: the top."""


def modules(root: Path) -> dict[str, Path]:
    """Dotted name → file of every module of the package, `baselines/` under its installed name."""
    found = {}
    for folder, package in (
        (root / "relbench_harness", "relbench_harness"),
        (root / "baselines", "relbench_harness.baselines"),
    ):
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, module of ours) for every import in a file, at whatever depth it stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in known or base in known:
                    yield node.lineno, full if full in known else base


def room(name: str) -> str:
    """The room that a module belongs to."""
    inside = name.removeprefix("relbench_harness").removeprefix(".")
    return inside if inside in BELOW else inside.partition(".")[0]


def upward(known: Mapping[str, Path]) -> list[str]:
    """Imports that point up, one sentence each."""
    faults = []
    for name, path in sorted(known.items()):
        allowed = BELOW.get(room(name))
        if allowed is None or room(name) == "":
            continue
        for line, target in imported(name, path, known):
            if room(target) not in allowed | LEAFS | {room(name)}:
                faults.append(f"{path}:{line}: {name} imports {target}")
    return faults


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """A path of imports that comes back to its start, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(edges.get(name, ())):
            if found := walk(target, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := walk(name, []))), [])


def named_baselines(known: Mapping[str, Path]) -> list[str]:
    """Absolute imports of a baseline, which only Hydra may name."""
    return [
        f"{path}:{line}: {name} imports {target}"
        for name, path in sorted(known.items())
        for line, target in imported(name, path, known)
        if room(target) == "baselines" and room(name) != "baselines"
    ] + [
        f"{path}:{node.lineno}: {name} names a baseline absolutely"
        for name, path in sorted(known.items())
        if room(name) == "baselines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and not node.level
        and (node.module or "").startswith("relbench_harness.baselines")
    ]


def test_no_import_points_up() -> None:
    assert upward(modules(ROOT)) == []


def test_no_circle() -> None:
    known = modules(ROOT)
    edges = {name: {target for _, target in imported(name, path, known) if target != name} for name, path in known.items()}
    # a package's __init__ that gathers names from its own modules is no circle
    assert circle({name: {t for t in targets if not name.startswith(t + ".")} for name, targets in edges.items()}) == []


def test_nobody_names_a_baseline() -> None:
    assert named_baselines(modules(ROOT)) == []


def test_model_families_are_packages() -> None:
    folders = [p for p in (ROOT / "baselines").iterdir() if p.is_dir() and p.name != "__pycache__"]
    assert sorted(p.name for p in folders) == ["calibration", "gnn", "recommendation", "trees"]
    assert all(
        (p / "__init__.py").is_file() and not [q for q in p.iterdir() if q.is_dir() and q.name != "__pycache__"]
        for p in folders
    )
    for folder in ("datasets", "configs"):
        assert list((ROOT / folder).rglob("__init__.py")) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("relbench_harness/data/a.py", "from relbench_harness.protocol import run", "imports relbench_harness.protocol"),
        ("relbench_harness/features/a.py", "from ..protocol.run import Run", "imports relbench_harness.protocol.run"),
        ("relbench_harness/protocol/a.py", "def f():\n    from ..board import store", "imports relbench_harness.board"),
        ("relbench_harness/errors.py", "import relbench_harness.data", "imports relbench_harness.data"),
        ("baselines/a.py", "from relbench_harness.board import store", "imports relbench_harness.board"),
    ],
)  # fmt: skip
def test_an_upward_import_is_seen(tmp_path: Path, file: str, text: str, fault: str) -> None:
    known = _tree(tmp_path, {file: text})
    faults = upward(known)
    assert len(faults) == 1 and fault in faults[0]


def test_a_named_baseline_is_seen(tmp_path: Path) -> None:
    known = _tree(tmp_path, {"relbench_harness/cli.py": "from relbench_harness.baselines import constant"})
    assert len(named_baselines(known)) == 1


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def _tree(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    empty = ["__init__", "data/__init__", "features/__init__", "protocol/__init__", "protocol/method", "protocol/run",
             "board/__init__", "board/store"]  # fmt: skip
    blank = {f"relbench_harness/{name}.py": "" for name in empty} | {
        "baselines/__init__.py": "",
        "baselines/constant.py": "",
    }
    for file, text in (blank | dict(files)).items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return modules(root)
