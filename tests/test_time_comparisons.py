"""Who compares times: `temporal`, the sampler and `protocol.stages`, read from the source.

A comparison of times decides what is visible. `data` declares times and `authoring` makes datasets; they stand below and beside
the methods and are not looked at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "graph", "protocol", "board", "models", "trial", "explain")
ALLOWED = {
    "relbench_harness/graph/neighbourhood.py",
    "relbench_harness/graph/structure.py",
    "relbench_harness/protocol/audit/scenes.py",
    "relbench_harness/protocol/stages.py",
}
"""What the sampler reads and returns, the stages of the protocol, and the scenes that an audit cuts from them to see whether a
method keeps to its cut-offs. Kernels and the feature stream compare by positions and SQL."""
TIME = re.compile(r"^(times?|cutoffs?|cut_off|instants?|moments?|known_from|available|when|since|timestamp|fit_end|at)$")
CLOCK = {"monotonic", "perf_counter", "process_time"}
ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def files() -> Iterator[Path]:
    yield from sorted((ROOT / "baselines").rglob("*.py"))
    for room in ROOMS:
        yield from sorted((ROOT / "relbench_harness" / room).rglob("*.py"))
    yield from sorted((ROOT / "relbench_harness").glob("*.py"))


def names_a_time(node: ast.AST) -> bool:
    """Whether a part of an expression is named as a time; a clock of the machine is none, nor is how many there are."""
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name in CLOCK or name in ("len", "ptp", "unique", "diff"):
            return False
    if isinstance(node, ast.Attribute):
        return bool(TIME.match(node.attr)) or names_a_time(node.value)
    if isinstance(node, ast.Name):
        return bool(TIME.match(node.id))
    return any(names_a_time(child) for child in ast.iter_child_nodes(node))


def comparisons(source: str) -> Iterator[int]:
    """Lines that order times: `<` and its like, or a binary search."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ORDERS) for op in node.ops):
            if any(names_a_time(side) for side in (node.left, *node.comparators)):
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "searchsorted"
            and any(names_a_time(argument) for argument in node.args)
        ):
            yield node.lineno


def test_only_some_modules_compare_times() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files()
        if path.relative_to(ROOT).as_posix() not in ALLOWED
        for line in comparisons(path.read_text())
    ]
    assert found == []


def test_every_exception_exists_and_compares_times() -> None:
    for name in ALLOWED:
        assert list(comparisons((ROOT / name).read_text())), name


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("kept = table.times < cutoff", True),
        ("n = np.searchsorted(examples.cutoff, t)", True),
        ("late = times[rows] >= examples.time[0]", True),
        ("if time.monotonic() > deadline: pass", False),
        ("if len(times) > 1: pass", False),
        ("same = examples.time == examples.cutoff", False),
        ("age = cutoff - times", False),
    ],
)
def test_a_comparison_is_seen(source: str, seen: bool) -> None:
    assert bool(list(comparisons(source))) == seen
