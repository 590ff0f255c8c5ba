"""Keys that no schema declares: the row of another table that was the latest, under the same parent, when a row came.

A visit names a store, and so does a shift; whose shift it was during the visit, no foreign key says. An as-of join does: the
last shift of that store before the visit. Nor does a key lead from a line to what became of earlier lines of its product:
the last return of one of them does. Like a row's older parents, what is found does not depend on who asks and is visible
wherever the row is, since it is strictly older.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.database import Database
from relbench_harness.graph.structure import Graph, grouped

from .summaries import earlier

Rows = NDArray[np.int64]
SAMPLE = 2000
"""Rows by which a key is judged."""
OFTEN = 0.05
"""A key that finds something from fewer of the rows than this is not worth reading."""


@dataclass(frozen=True)
class AsOf:
    """From a row of `table` to the latest row of `beside` before it with the same parent.

    Attributes:
        column: The foreign key of `table` that names the parent.
        key: The foreign key of `beside` that names the parent; or, where `below`, a sibling: a row of `table` with that parent.
    """

    table: str
    column: str
    beside: str
    key: str
    below: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """As a foreign key is named: (table, column)."""
        return self.table, f"{self.column} > {self.beside}.{self.key}{f'.{self.column}' if self.below else ''}"


def as_of_keys(database: Database, entity: str, own_row: bool = False) -> tuple[AsOf, ...]:
    """Those of the entity's events, its children and theirs, but for rows of the same entity, which are sampled anyway.

    Args:
        own_row: Whether the entity's own row is such an event, as in autocomplete tasks.
    """
    timed = {name: table.references for name, table in database.items() if table.times is not None}
    events = _below(database, entity) | ({entity} if own_row else set())
    return tuple(
        AsOf(table, column, beside, key, other == table)
        for table, references in timed.items()
        if table in events
        for column, parent in references.items()
        if parent != entity
        for beside, others in timed.items()
        if beside not in (table, entity)
        for key, other in others.items()
        if other in (parent, table)
    )


def _below(database: Database, table: str) -> set[str]:
    """Tables whose rows name one of `table`, or one of such a table, and so on."""
    found: set[str] = set()
    while more := {name for name, child in database.items() if {table, *found} & set(child.references.values())} - found:
        found |= more
    return found


class Opened:
    """A key over one graph."""

    def __init__(self, graph: Graph, key: AsOf) -> None:
        times, others = graph.table_times(key.table), graph.table_times(key.beside)
        assert times is not None and others is not None
        self.key, self.times = key, times
        self.parent = graph.parent_of(key.table, key.column)
        self.starts, self.rows = graph.children_of(key.beside, key.key)
        if key.below:
            sibling = graph.parent_of(key.beside, key.key)
            there = np.flatnonzero(sibling >= 0)
            there = there[times[sibling[there]] <= others[there]]  # else it may be visible before its sibling is
            named = np.full(len(sibling), -1, self.parent.dtype)
            named[there] = self.parent[sibling[there]]
            parents = next(p for child, column, p in graph.foreign_keys if (child, column) == (key.table, key.column))
            self.starts, self.rows = grouped(named, graph.size(parents))
        self.when = spacious(self.rows.shape, np.int64)
        np.take(others, self.rows, out=self.when)

    def before(self, rows: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """(n,) the row of `beside` that each of `rows` finds, −1 for none, and how many days it is older (0 for none)."""
        first, end = self._earlier(rows)
        there = np.flatnonzero(end > first)
        last = end[there] - 1
        found, days = np.full(len(rows), -1, np.int64), np.zeros(len(rows), np.float32)
        found[there] = self.rows[last]
        days[there] = (self.times[rows[there]] - self.when[last]) / 86_400e9
        return found, days

    def _earlier(self, rows: Rows) -> tuple[Rows, Rows]:
        """(n,) where in `self.rows` those under the same parent begin, and where those before each of `rows` end."""
        return earlier(self.when, self.starts, self.parent[rows], self.times[rows])

    def tells(self) -> bool:
        """Whether it often finds a row, and mostly one alone: of many that came at once, the latest is any of them."""
        if not len(self.times) or not len(self.rows):
            return False
        rows = np.unique(np.linspace(0, len(self.times) - 1, SAMPLE).astype(np.int64))
        first, end = self._earlier(rows)
        if (end > first).mean() < OFTEN:
            return False
        first, end = first[end > first], end[end > first]
        tied = (end - first > 1) & (self.when[end - 2] == self.when[end - 1])
        return bool(tied.mean() < 0.5)


def telling(graph: Graph, keys: Iterable[AsOf]) -> tuple[AsOf, ...]:
    """Those of `keys` that are worth reading."""
    return tuple(key for key in keys if Opened(graph, key).tells())
