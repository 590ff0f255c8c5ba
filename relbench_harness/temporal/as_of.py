"""As-of joins: the row of another table that was the latest, under the same parent, when a row came.

A visit names a store, and so does a shift. No foreign key says whose shift it was during the visit; an as-of join does: the
last shift of that store before the visit. What is found is strictly older than the row, so it is visible wherever the row is
and does not depend on the example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.database import Database
from relbench_harness.temporal.children import Ids, Times, by_parent, seen
from relbench_harness.temporal.paths import ForeignKey, foreign_keys, tables_below
from relbench_harness.temporal.stretch import Stretch

Rows = NDArray[np.int64]
DAY = 86_400e9
SAMPLE = 2000
"""Rows by which a key is judged."""
LEAST_FOUND = 0.05
"""A key that finds something from a smaller share of the rows is not worth reading."""


@dataclass(frozen=True)
class AsOfKey:
    """From a row of `left.child` to the latest row of `right.child` before it with the same parent.

    Attributes:
        left: The foreign key of the row that looks.
        right: The foreign key of the table in which it looks. Where `via_sibling`, it names a sibling: a row of `left.child`
            with the same parent.
    """

    left: ForeignKey
    right: ForeignKey
    via_sibling: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """As a foreign key is named: (table, column)."""
        sibling = f".{self.left.column}" if self.via_sibling else ""
        return self.left.child, f"{self.left.column} > {self.right.child}.{self.right.column}{sibling}"


class KeyArrays(Protocol):
    """Foreign keys as flat arrays, such as those of a graph."""

    def size(self, table: str) -> int: ...
    def table_times(self, table: str) -> Times | None: ...
    def parent_of(self, child: str, column: str) -> Ids: ...
    def children_of(self, child: str, column: str) -> tuple[Ids, Ids]: ...


class AsOfRows(NamedTuple):
    """(n,) the row found, −1 for none, and how many days older it is, 0 for none."""

    row: Rows
    days: NDArray[np.float32]


def as_of_keys(database: Database, entity: str, own_row: bool = False) -> tuple[AsOfKey, ...]:
    """The keys by which events of `entity`, its children and theirs, find rows of other tables.

    Rows that belong to the same entity are left out: they are sampled anyway.

    Args:
        own_row: Whether the entity's own row is an event, as in autocomplete tasks.
    """
    timed = [key for key in foreign_keys(database) if database[key.child].times is not None]
    events = tables_below(database, entity) | ({entity} if own_row else set())
    return tuple(
        AsOfKey(left, right, via_sibling=right.parent == left.child)
        for left in timed
        if left.child in events and left.parent != entity
        for right in timed
        if right.child not in (left.child, entity) and right.parent in (left.parent, left.child)
    )


class AsOfIndex:
    """An as-of key over one database."""

    def __init__(self, arrays: KeyArrays, key: AsOfKey) -> None:
        left, right = key.left, key.right
        times, right_times = arrays.table_times(left.child), arrays.table_times(right.child)
        assert times is not None and right_times is not None
        self.key, self._times = key, times
        self._parent = arrays.parent_of(left.child, left.column)
        self._starts, self._rows = arrays.children_of(right.child, right.column)
        if key.via_sibling:
            sibling = arrays.parent_of(right.child, right.column)
            there = np.flatnonzero(sibling >= 0)
            # a row that is older than its sibling could be visible before it
            there = there[times[sibling[there]] <= right_times[there]]
            named = np.full(len(sibling), -1, self._parent.dtype)
            named[there] = self._parent[sibling[there]]
            self._starts, self._rows = by_parent(named, arrays.size(left.parent))
        self._right_times = spacious(self._rows.shape, np.int64)
        np.take(right_times, self._rows, out=self._right_times)

    def find(self, rows: Rows) -> AsOfRows:
        """What each of `rows` finds."""
        first, end = self._older(rows)
        there = np.flatnonzero(end > first)
        last = end[there] - 1
        found, days = np.full(len(rows), -1, np.int64), np.zeros(len(rows), np.float32)
        found[there] = self._rows[last]
        days[there] = (self._times[rows[there]] - self._right_times[last]) / DAY
        return AsOfRows(found, days)

    def is_informative(self) -> bool:
        """Whether rows often find something, and mostly one row alone: of many that came at once, the latest is any of them."""
        if not len(self._times) or not len(self._rows):
            return False
        rows = np.unique(np.linspace(0, len(self._times) - 1, SAMPLE).astype(np.int64))
        first, end = self._older(rows)
        if (end > first).mean() < LEAST_FOUND:
            return False
        first, end = first[end > first], end[end > first]
        tied = (end - first > 1) & (self._right_times[end - 2] == self._right_times[end - 1])
        return bool(tied.mean() < 0.5)

    def _older(self, rows: Rows) -> Stretch:
        """Which positions of `self._rows` share a parent with each of `rows` and are older."""
        return seen(self._right_times, self._starts, self._parent[rows], self._times[rows])
