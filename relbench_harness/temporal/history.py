"""The rows that belong to each row of a table along a path, in the order in which they can be seen.

Invariant: a row counts for an example iff its own time and all times on its path lie before the example's cut-off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.database import Database
from relbench_harness.temporal.children import Ids, Times, by_parent, seen
from relbench_harness.temporal.paths import KeyPath
from relbench_harness.temporal.running_totals import Floats, RunningTotals, Series
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.visibility import ALWAYS, Rows, follow, gather


@dataclass(frozen=True)
class History:
    """Rows by owner and then by the time from which they can be seen; rows without an owner are left out.

    Attributes:
        rows: (m,) row numbers of the path's table.
        starts: (owners + 1,) where each owner's rows begin; there is at least one owner.
        available: (m,) nanoseconds, ascending within an owner.
    """

    rows: Ids
    starts: NDArray[np.int64]
    available: Times

    @classmethod
    def of(cls, owner: Rows, available: Times, owners: int) -> History:
        """From (rows,) owners, −1 for none, and the times from which the rows can be seen."""
        starts, order = by_parent(owner, max(owners, 1))
        if (available[1:] < available[:-1]).any():
            order = order[np.lexsort((available[order], owner[order]))]
        when = spacious(order.shape, np.int64)
        np.take(available, order, out=when)
        return cls(order, starts, when)

    @classmethod
    def along(cls, database: Database, path: KeyPath) -> History:
        """The rows of `path`'s table by the row at its top."""
        owner, available = follow(database, path)
        return cls.of(owner, available, len(database[path.top]))

    @property
    def is_timed(self) -> bool:
        """Whether rows appear in time."""
        return bool(len(self.available)) and bool(self.available[-1] != ALWAYS)

    def seen(self, owner: Rows, cutoff: Times) -> Stretch:
        """(n,) which positions of `rows` can be seen before each cut-off; an owner of −1 has none."""
        return seen(self.available, self.starts, owner, cutoff)

    def latest(self, owner: Rows, cutoff: Times) -> Rows:
        """(n,) the row number of the latest row that can be seen, −1 for none."""
        first, last = self.seen(owner, cutoff)
        return gather(self.rows, np.where(last > first, last - 1, -1), -1)

    def totals(self, columns: Iterable[Floats], width: int) -> RunningTotals:
        """Running totals of `width` columns, each with one number per row of the table."""
        return RunningTotals.of(columns, width, self.starts, self.rows)

    def series(self, values: Floats) -> Series:
        """Means and deviations of `values`, one number per row of the table."""
        return Series(values[self.rows], self.starts)
