"""Join paths along foreign keys: how rows of one table belong to rows of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relbench.manifest import TableSpec

LONGEST = 6
"""Joins of more steps are not looked for."""


@dataclass(frozen=True)
class Step:
    """One foreign key: `child.column` refers to `parent`; `up` where it is walked from child to parent."""

    child: str
    column: str
    parent: str
    up: bool = True

    @property
    def source(self) -> str:
        return self.child if self.up else self.parent

    @property
    def target(self) -> str:
        return self.parent if self.up else self.child

    def __str__(self) -> str:
        return f"{self.child}.{self.column}"


Path = tuple[Step, ...]


def shown(path: Path) -> str:
    """`a -> b -> c`, with the foreign key of each step."""
    if not path:
        return "the table itself"
    tables = [path[0].source]
    for step in path:
        tables.append(f"{step.target} (by {step})")
    return " -> ".join(tables)


def steps(tables: Mapping[str, TableSpec]) -> list[Step]:
    """Every foreign key, as a step up to the parent."""
    return [Step(name, column, parent) for name, spec in tables.items() for column, parent in spec.fkeys.items()]


def upward(tables: Mapping[str, TableSpec], start: str, end: str) -> list[Path]:
    """Every path of foreign keys from `start` up to `end`, each row of `start` having one parent a step.

    The empty path where they are one table; a table met twice ends a path, so self references are one step at most.
    """
    if start == end:
        return [()]
    return _walk(steps(tables), start, end, LONGEST)


def between(tables: Mapping[str, TableSpec], start: str, end: str) -> list[Path]:
    """The shortest paths from `start` to `end` that walk foreign keys in both directions."""
    up = steps(tables)
    both = up + [Step(s.child, s.column, s.parent, up=False) for s in up]
    for length in range(1, LONGEST + 1):
        found = _walk(both, start, end, length)
        if found:
            return found
    return []


def _walk(edges: Iterable[Step], start: str, end: str, longest: int) -> list[Path]:
    edges = list(edges)
    found: list[Path] = []

    def extend(path: Path, seen: frozenset[str], at: str) -> None:
        for step in edges:
            if step.source != at:
                continue
            if step.target == end:
                found.append((*path, step))
            elif step.target not in seen and len(path) + 1 < longest:
                extend((*path, step), seen | {step.target}, step.target)

    extend((), frozenset({start}), start)
    return found
