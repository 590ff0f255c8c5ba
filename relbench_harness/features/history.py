"""Each entity's own rows in time order, so that what a question sees of them is a stretch found by one binary search.

Invariant: a row counts for a question iff the latest of its own time and the times along its path to the entity lies
before the question's cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database

ALWAYS = np.iinfo(np.int64).min
"""The time of rows that are visible whenever."""


@dataclass(frozen=True)
class Step:
    """From a table to its children: rows of `child` whose foreign key `key` names the row."""

    child: str
    key: str


@dataclass(frozen=True)
class ChildPath:
    """A way from an entity down to rows that belong to it."""

    entity: str
    steps: tuple[Step, ...]

    @property
    def table(self) -> str:
        return self.steps[-1].child

    @property
    def name(self) -> str:
        return "/".join(f"{step.child}[{step.key}]" for step in self.steps)


def child_paths(database: Database, entity: str, hops: int) -> Iterator[ChildPath]:
    """All ways down from `entity` of at most `hops` steps that do not return to a table they left."""
    yield from _extend(database, ChildPath(entity, ()), entity, {entity}, hops)


def _extend(database: Database, path: ChildPath, table: str, seen: set[str], hops: int) -> Iterator[ChildPath]:
    if not hops:
        return
    for name, child in database.items():
        for key, parent in child.references.items():
            # a self reference is one step (children of the same kind), never two
            if parent == table and (name not in seen or (name == path.entity and not path.steps)):
                longer = ChildPath(path.entity, (*path.steps, Step(name, key)))
                yield longer
                if name != path.entity:
                    yield from _extend(database, longer, name, seen | {name}, hops - 1)


def owners(database: Database, path: ChildPath) -> NDArray[np.int64]:
    """(rows of the path's table,) the entity each row belongs to, −1 if none."""
    owner: NDArray[np.int64] | None = None
    for step in path.steps:
        parents = database[step.child].parents(step.key)
        if owner is None:
            owner = parents
        else:
            owner = np.where(parents >= 0, owner[parents], -1) if len(owner) else np.full(len(parents), -1, np.int64)
    assert owner is not None
    return owner


def available(database: Database, path: ChildPath) -> NDArray[np.int64]:
    """(rows of the path's table,) the latest of a row's own time and the times along its path."""
    latest: NDArray[np.int64] | None = None
    for step in path.steps:
        table = database[step.child]
        own = table.times if table.times is not None else np.full(len(table), ALWAYS, dtype=np.int64)
        if latest is not None and len(latest):
            parents = table.parents(step.key)
            own = np.where(parents >= 0, np.maximum(own, latest[parents]), own)
        latest = own
    assert latest is not None
    return latest


@dataclass(frozen=True)
class History:
    """The rows of a child path ordered by (owner, time available, row number).

    Attributes:
        rows: (m,) row numbers of the path's table; rows without an owner are left out.
        starts: (entities + 1,) where each entity's stretch of `rows` begins.
        times: (m,) when each row became available, in the order of `rows`.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    times: NDArray[np.int64]

    @staticmethod
    def along(database: Database, path: ChildPath) -> History:
        owner, at = owners(database, path), available(database, path)
        order = np.lexsort((at, owner))
        order = order[np.searchsorted(owner[order], 0) :]
        starts = np.searchsorted(owner[order], np.arange(len(database[path.entity]) + 1))
        return History(order.astype(np.int64), starts.astype(np.int64), at[order])

    @cached_property
    def _instants(self) -> NDArray[np.int64]:
        return np.unique(self.times)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        """(m,) ascending: owner and rank of the time in one number."""
        owner = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return owner * (len(self._instants) + 1) + np.searchsorted(self._instants, self.times)

    def seen(self, entity: NDArray[np.int64], before: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) first and (n,) past-the-last position in `rows` of what each question sees; equal where nothing.

        Args:
            entity: (n,) row numbers, −1 for none.
            before: (n,) cut-offs in nanoseconds: only rows available before them.
        """
        if not len(self.rows):
            return np.zeros(len(entity), np.int64), np.zeros(len(entity), np.int64)
        inside = np.where(entity >= 0, entity, 0)
        rank = np.searchsorted(self._instants, before, side="left")
        last = np.searchsorted(self._keys, inside * (len(self._instants) + 1) + rank, side="left")
        first = self.starts[inside]
        return first, np.where(entity >= 0, np.maximum(last, first), first).astype(np.int64)
