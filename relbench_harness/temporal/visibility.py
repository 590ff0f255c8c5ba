"""Which rows, and which rows along foreign keys, can be seen at a time: `row.time < t`, and static tables always.

Invariant: a row that is reached over a path can be seen once it and every row on the way can.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.children import seen
from relbench_harness.temporal.paths import ForeignKey, KeyPath

Rows = NDArray[np.int64]
"""Row numbers; −1 is no row."""
Times = NDArray[np.int64]
DAY = 86_400e9
ALWAYS = -(2**62)
"""The time of rows that can always be seen: before all others, and no difference with a time overflows."""


def times_of(table: Table) -> Times:
    """(rows,) from when each row can be seen; `ALWAYS` in a static table."""
    return table.times if table.times is not None else np.full(len(table), ALWAYS, np.int64)


def gather(values: NDArray[np.int64], rows: Rows, none: int = 0) -> NDArray[np.int64]:
    """`values[rows]`, and `none` where there is no row."""
    if not len(values):
        return np.full(len(rows), none, dtype=np.int64)
    return np.where(rows >= 0, values[rows], none)


def days_before(times: Times, cutoff: Times | int) -> NDArray[np.float64]:
    """(n,) days from each time to the cut-off; NaN for `ALWAYS`."""
    return np.where(times > ALWAYS, (cutoff - times.astype(np.float64)) / DAY, np.nan)


class Followed(NamedTuple):
    """Where a path leads from each row of its table.

    Attributes:
        row: (rows,) the row at the top, −1 where the path breaks.
        available: (rows,) the latest of the row's own time and those on the way; that of the top does not count, as an
            example about it presupposes it.
    """

    row: Rows
    available: Times


def follow(database: Database, path: KeyPath) -> Followed:
    """The row at the end of `path` for every row of its table, and when the whole path can be seen."""
    at = np.arange(len(database[path.table]), dtype=np.int64)
    available = times_of(database[path.table])
    for number, key in enumerate(path.keys):
        if number:
            between = database[key.child].times
            if between is not None and len(between):
                available = np.maximum(available, np.where(at >= 0, between[at], available))
        at = gather(database[key.child].parents(key.column), at, -1)
    return Followed(at, available)


def visible(table: Table, rows: Rows, cutoff: Times | int) -> NDArray[np.bool_]:
    """(n,) whether each of `rows` is there and older than its cut-off."""
    if table.times is None:
        return rows >= 0
    return (rows >= 0) & (gather(table.times, rows) < cutoff)


def visible_parents(examples: Examples, key: ForeignKey, rows: Rows) -> Rows:
    """(n,) the parents that `key` of each example's row names, −1 where none is visible at its cut-off."""
    named = gather(examples.database[key.child].parents(key.column), rows, -1)
    return np.where(visible(examples.database[key.parent], named, examples.cutoff), named, -1)


def own_parents(examples: Examples, key: ForeignKey) -> Rows:
    """(n,) the parents that `key` of the examples' own rows names, −1 where none is visible.

    In autocomplete tasks they are visible whatever their time.
    """
    return OwnParents.of(examples.database, key).of_examples(examples)


class OwnParents(NamedTuple):
    """One foreign key of the entities, read once for many batches of examples.

    Attributes:
        named: (entities,) the parent that each names, −1 for none.
        parent: The parents' table.
    """

    named: Rows
    parent: Table

    @classmethod
    def of(cls, database: Database, key: ForeignKey) -> OwnParents:
        return cls(database[key.child].parents(key.column), database[key.parent])

    def of_examples(self, examples: Examples) -> Rows:
        """See `own_parents`."""
        named = gather(self.named, examples.entity, -1)
        if examples.task.own_row_visible:
            return named
        return np.where(visible(self.parent, named, examples.cutoff), named, -1)


def older_parents(database: Database, key: ForeignKey) -> NDArray[np.integer]:
    """(rows of the child,) the parent that `key` names where it is static or no younger than the row, else −1.

    Such a parent is visible wherever the row is.
    """
    table, parent = database[key.child], database[key.parent]
    named = table.parents(key.column)
    older = spacious(named.shape, np.int32 if len(parent) < 2**31 else np.int64)
    older[...] = named
    if parent.times is not None and (table.times is None or len(parent) == 0):
        older[...] = -1
    elif parent.times is not None and table.times is not None:
        older[parent.times[named.clip(0)] > table.times] = -1
    return older


def there_by(table: Table, rows: Rows, at: Times) -> NDArray[np.bool_]:
    """(n,) whether each of `rows` is there by the time `at`, that instant included.

    For rows that are read together with another that can be seen from `at` on: what is as old as it is seen with it.
    """
    if table.times is None:
        return rows >= 0
    return (rows >= 0) & (gather(table.times, rows) <= at)


def no_later(times: Times, at: int) -> NDArray[np.bool_]:
    """(n,) which instants are no later than `at`: what can be seen then can be seen at `at` too."""
    return times <= at


def no_younger(times: Times) -> NDArray[np.int64]:
    """(rows,) how many rows, the first ones of a table, are no younger than each: what is seen wherever it is seen."""
    return np.searchsorted(times, times, side="right").astype(np.int64)


def span_of(database: Database) -> int:
    """Nanoseconds from the first to the last row of the table that covers most time; 0 where no table has rows in time."""
    timed = [t.times for t in database.values() if t.times is not None and len(t)]
    return max((int(t[-1] - t[0]) for t in timed), default=0)


def before_instant(rows: Rows, visible_rows: int) -> NDArray[np.bool_]:
    """(n,) whether each of `rows` is among the first `visible_rows` of its table, those older than an instant."""
    return (rows >= 0) & (rows < visible_rows)


def latest_before(children: tuple[Rows, Rows], times: Times, parents: Rows, at: Times) -> Rows:
    """(n,) the latest child of each of `parents` (−1: none) that is strictly older than `at`; −1 for none.

    Args:
        children: Where each parent's children begin, and the children, in time order.
        times: (rows of the children's table,).
    """
    starts, rows = children
    first, end = seen(times[rows], starts, parents, at)
    return gather(np.asarray(rows, np.int64), np.where(end > first, end - 1, -1), -1)
