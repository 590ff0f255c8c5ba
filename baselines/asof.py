"""Keys that no schema declares: the row of another table that was the latest, under the same parent, when a row came.

A visit names a store, and so does a shift; whose shift it was during the visit, no foreign key says. An as-of join does: the
last shift of that store before the visit. Like a row's older parents, what it finds does not depend on who asks and is
visible wherever the row is, since it is strictly older.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.graph.compiled import compiled
from relbench_harness.graph.structure import Graph

Rows = NDArray[np.int64]
SAMPLE = 2000
"""Rows by which a key is judged."""
OFTEN = 0.05
"""A key that finds something from fewer of the rows than this is not worth reading."""


@dataclass(frozen=True)
class AsOf:
    """From a row of `table` to the latest row of `beside` before it with the same parent.

    Attributes:
        column: The foreign key of `table`, and `key` that of `beside`, which name the parent.
    """

    table: str
    column: str
    beside: str
    key: str

    @property
    def name(self) -> tuple[str, str]:
        """As a foreign key is named: (table, column)."""
        return self.table, f"{self.column} > {self.beside}.{self.key}"


def as_of_keys(database: Database, entity: str, own_row: bool = False) -> tuple[AsOf, ...]:
    """Those of the entity's events, its children and theirs, but for rows of the same entity, which are sampled anyway.

    Args:
        own_row: Whether the entity's own row is such an event, as in autocomplete tasks.
    """
    timed = {name: table.references for name, table in database.items() if table.times is not None}
    events = _below(database, entity) | ({entity} if own_row else set())
    return tuple(
        AsOf(table, column, beside, key)
        for table, references in timed.items()
        if table in events
        for column, parent in references.items()
        for beside, others in timed.items()
        for key, other in others.items()
        if other == parent != entity and beside not in (table, entity)
    )


def _below(database: Database, table: str) -> set[str]:
    """Tables whose rows name one of `table`, or one of such a table, and so on."""
    found: set[str] = set()
    while more := {name for name, child in database.items() if {table, *found} & set(child.references.values())} - found:
        found |= more
    return found


def telling(graph: Graph, keys: Iterable[AsOf]) -> tuple[AsOf, ...]:
    """Those that often find a row, and mostly one alone: of many that came at once, the latest is any of them."""
    return tuple(key for key in keys if _tells(graph, key))


def _tells(graph: Graph, key: AsOf) -> bool:
    if not graph.size(key.table):
        return False
    rows = np.unique(np.linspace(0, graph.size(key.table) - 1, SAMPLE).astype(np.int64))
    found, _ = latest_before(graph, key, rows)
    there = found >= 0
    if there.mean() < OFTEN:
        return False
    found, parent = found[there], graph.parent_of(key.table, key.column)[rows[there]]
    earlier = _latest(parent, found, *graph.children_of(key.beside, key.key))
    times = graph.table_times(key.beside)
    assert times is not None
    tied = (earlier >= 0) & (times[earlier.clip(0)] == times[found])
    return bool(tied.mean() < 0.5)


def latest_before(graph: Graph, key: AsOf, rows: Rows) -> tuple[Rows, NDArray[np.float32]]:
    """(n,) the row of `key.beside` that each of `rows` finds, −1 for none, and how many days it is older (0 for none)."""
    times, others = graph.table_times(key.table), graph.table_times(key.beside)
    assert times is not None and others is not None
    parent = graph.parent_of(key.table, key.column)[rows]
    starts, children = graph.children_of(key.beside, key.key)
    bound = np.searchsorted(others, times[rows], side="left")
    found = _latest(parent, bound, starts, children)
    days = (
        np.where(found >= 0, (times[rows] - others[found.clip(0)]) / 86_400e9, 0.0) if len(others) else np.zeros(len(rows))
    )
    return found, days.astype(np.float32)


@compiled
def _latest(parent: NDArray[Any], bound: NDArray[np.int64], starts: NDArray[Any], children: NDArray[Any]) -> Rows:
    """The last child below `bound` of each parent."""
    out = np.full(len(parent), -1, np.int64)
    for i in range(len(parent)):
        if parent[i] < 0:
            continue
        low, high = np.int64(starts[parent[i]]), np.int64(starts[parent[i] + 1])
        first = low
        while low < high:
            middle = (low + high) // 2
            if children[middle] < bound[i]:
                low = middle + 1
            else:
                high = middle
        if low > first:
            out[i] = children[low - 1]
    return out
