"""The graph of a database: rows are nodes, foreign keys are edges, both directions, no times per edge.

Canonical order does the work. A foreign-key column is the forward edge list already. The backward adjacency is one stable
counting sort of it, so every list of children is ordered by row number, hence by time; which of them an example may see is
one binary search for the number of rows of that table older than its cut-off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.array_store import opened, writing
from relbench_harness.data.database import Database
from relbench_harness.data.stypes import spread
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest
from relbench_harness.temporal.children import Children, Ids, Times, count_children, place_children
from relbench_harness.temporal.paths import ForeignKey, foreign_keys

PIECE = 1 << 22
"""Rows of a column that are converted at a time, so that building needs little more memory than what it builds."""


EdgeType = tuple[str, str, str]
"""(source table, relation, target table), as PyG names edges."""


@dataclass(frozen=True)
class Step:
    """One way to walk from a row of `source` to rows of `target` along foreign key `column`.

    Attributes:
        up: From child to parent (at most one row); else from parent to children.
    """

    source: str
    target: str
    column: str
    up: bool

    @property
    def type(self) -> EdgeType:
        """The edge type as RelBench and PyG name it: (source, relation, target)."""
        return self.source, f"f2p_{self.column}" if self.up else f"rev_f2p_{self.column}", self.target

    @property
    def message_type(self) -> EdgeType:
        """The edge type of messages, which go from the row that was sampled to the row that sampled it."""
        return Step(self.target, self.source, self.column, not self.up).type

    @property
    def child(self) -> str:
        """The table that holds the foreign key."""
        return self.source if self.up else self.target

    @property
    def parent(self) -> str:
        return self.target if self.up else self.source

    def __str__(self) -> str:
        return "__".join(self.type)


@dataclass(frozen=True, eq=False)
class Graph:
    """Rows and foreign keys of a database as flat arrays, in memory or mapped from disk.

    Attributes:
        sizes: Table → rows, in the order in which tables are numbered.
        steps: Every way to walk, sorted by the number of the source table.
        parents: Foreign-key columns one after another: row of the parent, −1 for none.
        starts: Per foreign key (parent rows + 1) positions in its part of `children`, one after another.
        children: Per foreign key the child rows, grouped by parent, ascending within a parent.
        times: (rows of all timed tables,) nanoseconds since 1970, table after table, ascending within each.
        timed: Names of the tables with a time.
    """

    sizes: Mapping[str, int]
    steps: tuple[Step, ...]
    parents: Ids
    starts: Ids
    children: Ids
    times: Times
    timed: tuple[str, ...]

    @classmethod
    def from_database(cls, database: Database) -> Graph:
        """The graph of all rows of `database`; ids have 32 bits where every table has fewer than 2³¹ rows."""
        sizes = {name: len(table) for name, table in database.items()}
        keys = _foreign_keys(database)
        kind = np.int32 if max(sizes.values(), default=0) < 2**31 - 1 else np.int64
        parents: Ids = np.empty(sum(sizes[child] for child, _, _ in keys), kind)
        starts: Ids = np.empty(sum(sizes[parent] + 1 for _, _, parent in keys), kind)
        children: Ids = np.empty(
            sum(sizes[child] - database[child].rows.column(column).null_count for child, column, _ in keys), kind
        )
        at, start_at, child_at = 0, 0, 0
        for child, column, parent in keys:
            named = parents[at : at + sizes[child]]
            _read_parents(database[child], column, named)
            start = starts[start_at : start_at + sizes[parent] + 1]
            count_children(named, start)
            place_children(named, start, children[child_at : child_at + int(start[-1])])
            at, start_at, child_at = at + len(named), start_at + len(start), child_at + int(start[-1])
        timed = tuple(name for name, table in database.items() if table.time is not None)
        times = np.empty(sum(sizes[name] for name in timed), np.int64)
        at = 0
        for name in timed:
            at += _read_times(database[name], times[at : at + sizes[name]])
        return cls(MappingProxyType(sizes), _steps(sizes, keys), parents, starts, children, times, timed)

    @classmethod
    def stored(cls, database: Database, folder: Path) -> Graph:
        """The graph of `database`, mapped from `folder`; built and written there first where it is absent or damaged."""
        identity = _identity(database)
        arrays = opened(folder, identity, private=True)
        if arrays is None:
            built = cls.from_database(database)
            with writing(folder, identity) as draft:
                for name in _ARRAYS:
                    array = getattr(built, name)
                    draft.array(name, array.dtype, array.shape)[...] = array
            del built
            arrays = opened(folder, identity, private=True)
            if arrays is None:
                raise InputError(f"the graph store {folder} cannot be read back after it was written; is the disk full?")
        sizes = {name: len(table) for name, table in database.items()}
        timed = tuple(name for name, table in database.items() if table.time is not None)
        steps = _steps(sizes, _foreign_keys(database))
        return cls(MappingProxyType(sizes), steps, timed=timed, **{name: arrays[name] for name in _ARRAYS})

    # -- the parts of the flat arrays ---------------------------------------------------------------------------------

    @cached_property
    def number(self) -> Mapping[str, int]:
        """Table → its number."""
        return MappingProxyType({name: index for index, name in enumerate(self.sizes)})

    @cached_property
    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """The foreign keys in the order of the flat arrays."""
        known = {(s.child, s.column): s.parent for s in self.steps}
        order = {name: index for index, name in enumerate(self.sizes)}
        keys = sorted(known, key=lambda key: (order[key[0]], key[1]))
        return tuple(ForeignKey(child, column, known[child, column]) for child, column in keys)

    @cached_property
    def offsets(self) -> Mapping[tuple[str, str], tuple[int, int, int]]:
        """(child, column) → where its parts of `parents`, `starts` and `children` begin."""
        result, at, start_at, child_at = {}, 0, 0, 0
        for child, column, parent in self.foreign_keys:
            result[child, column] = at, start_at, child_at
            at, start_at = at + self.sizes[child], start_at + self.sizes[parent] + 1
            child_at += int(self.starts[start_at - 1])
        return MappingProxyType(result)

    @cached_property
    def time_offsets(self) -> Mapping[str, int]:
        """Timed table → where its part of `times` begins."""
        ends = np.cumsum([0, *(self.sizes[name] for name in self.timed)])
        return MappingProxyType({name: int(end) for name, end in zip(self.timed, ends[:-1], strict=True)})

    def size(self, table: str) -> int:
        """The rows of `table`.

        Raises:
            InputError: The graph has no such table.
        """
        if table not in self.sizes:
            raise InputError(f"no table {table!r} in the graph; {nearest(table, self.sizes)}")
        return self.sizes[table]

    def table_times(self, table: str) -> Times | None:
        """(rows,) times of `table`, None where it is static."""
        if table not in self.time_offsets:
            self.size(table)
            return None
        first = self.time_offsets[table]
        return self.times[first : first + self.sizes[table]]

    def parent_of(self, child: str, column: str) -> Ids:
        """(rows of `child`,) row of the parent that `column` names, −1 for none."""
        first = self.offsets[child, column][0]
        return self.parents[first : first + self.sizes[child]]

    def children_of(self, child: str, column: str) -> Children:
        """The rows of `child` by the parent that `column` names."""
        _, start_at, child_at = self.offsets[child, column]
        parent = next(p for c, k, p in self.foreign_keys if (c, k) == (child, column))
        starts = self.starts[start_at : start_at + self.sizes[parent] + 1]
        return Children(starts, self.children[child_at : child_at + int(starts[-1])])

    def visible(self, table: str, cutoff: Times) -> NDArray[np.int64]:
        """(n,) how many leading rows of `table` are older than each cut-off; all rows of a static table."""
        times = self.table_times(table)
        if times is None:
            return np.full(len(cutoff), self.sizes[table], np.int64)
        return np.searchsorted(times, cutoff, side="left").astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(a.nbytes for a in (self.parents, self.starts, self.children, self.times))

    def __repr__(self) -> str:
        return f"Graph({sum(self.sizes.values())} rows in {len(self.sizes)} tables, {len(self.children)} edges)"


_ARRAYS = ("parents", "starts", "children", "times")


def _identity(database: Database) -> str:
    """Tells databases apart by their sizes, their schema and a sample of their keys and times."""
    state = hashlib.blake2b(digest_size=16)
    for name, table in database.items():
        state.update(repr((name, len(table), table.time, sorted(table.references.items()))).encode())
        for column in sorted(filter(None, {table.time, *table.references})):
            values = spread(table.rows.column(column), 10_000)
            state.update(np.asarray(pc.fill_null(values.cast(pa.int64()), -1)).tobytes())
    return state.hexdigest()


def _foreign_keys(database: Database) -> list[ForeignKey]:
    """The foreign keys, those of a table by column."""
    order = {name: number for number, name in enumerate(database)}
    return sorted(foreign_keys(database), key=lambda key: (order[key.child], key.column))


def _steps(sizes: Mapping[str, int], keys: list[ForeignKey]) -> tuple[Step, ...]:
    both = [Step(child, parent, column, True) for child, column, parent in keys]
    both += [Step(parent, child, column, False) for child, column, parent in keys]
    number = {name: index for index, name in enumerate(sizes)}
    return tuple(sorted(both, key=lambda s: (number[s.source], not s.up, s.child, s.column)))


def _read_parents(table: Table, column: str, out: Ids) -> None:
    values = table.rows.column(column)
    for first in range(0, len(values), PIECE):
        piece = pc.fill_null(values.slice(first, PIECE).cast(pa.int64()), -1)
        out[first : first + PIECE] = piece.to_numpy()


def _read_times(table: Table, out: Times) -> int:
    values = table.rows.column(table.time)
    for first in range(0, len(values), PIECE):
        out[first : first + PIECE] = values.slice(first, PIECE).cast(pa.int64()).to_numpy()
    return len(values)
