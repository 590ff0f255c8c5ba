"""Plain statistics of an entity's own history, as of any time, at the cost of a look-up.

The children of every parent are kept in order of time with running totals, so a mean over the last m rows or a sum over the
last w days is a difference of two totals. Totals start anew at every parent: rows of others, and later rows, leave no trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.graph.compiled import compiled
from relbench_harness.graph.store import spacious
from relbench_harness.graph.structure import grouped

Floats = NDArray[np.float64]
LAST = (1, 3, 6, 12, 24)
"""Over how many latest rows means are taken."""


@compiled
def _add_up(values: NDArray[Any], order: NDArray[Any], start: NDArray[np.int64], totals: NDArray[Any]) -> None:
    """(rows + parents,) running totals of `values[order]` by parent, each parent's opening with the zero that is there."""
    for parent in range(len(start) - 1):
        for row in range(start[parent], start[parent + 1]):
            totals[row + parent + 1] = totals[row + parent] + values[order[row]]


@compiled
def before(
    available: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], t: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each stretch [low, high) of ascending `available`, where the values at or after t begin."""
    out = np.empty(len(t), np.int64)
    for i in range(len(t)):
        a, b = low[i], high[i]
        while a < b:
            middle = (a + b) // 2
            if available[middle] < t[i]:
                a = middle + 1
            else:
                b = middle
        out[i] = a
    return out


@dataclass(frozen=True)
class History:
    """Events of each parent, in order of the time at which they become available.

    Attributes:
        start: (parents + 1,) where each parent's events begin.
        available: (events,) nanoseconds, ascending within a parent.
        totals: (events + parents, columns) running sums of the values that are there.
        missing: Column → (events + parents,) running counts of values that are not; columns without any are not named.
        windows: Nanoseconds of each window that sums are taken over.
        averaged: Of how many of the last columns the mean is taken over windows too, which have no meaning as a sum.
    """

    start: NDArray[np.int64]
    available: NDArray[np.int64]
    totals: Floats
    missing: Mapping[int, NDArray[np.int32]]
    windows: tuple[int, ...]
    averaged: int = 0

    @classmethod
    def of(
        cls, parent: NDArray[np.int64], available: NDArray[np.int64], values: Floats, parents: int, windows: tuple[int, ...]
    ) -> History:
        """From events: their parent (−1 for none), time and (events, columns) values (NaN where missing)."""
        return cls.column_by_column(parent, available, iter(values.T), values.shape[1], parents, windows)

    @classmethod
    def column_by_column(
        cls,
        parent: NDArray[np.int64],
        available: NDArray[np.int64],
        columns: Iterable[Floats],
        width: int,
        parents: int,
        windows: tuple[int, ...],
        averaged: int = 0,
    ) -> History:
        """The same from `width` columns, of which one at a time need be there."""
        start, order = grouped(parent, max(parents, 1))
        if (available[1:] < available[:-1]).any():
            order = order[np.lexsort((available[order], parent[order]))]
        when = spacious(order.shape, np.int64)
        np.take(available, order, out=when)
        totals = spacious((len(order) + len(start) - 1, width), np.float64)
        missing = {}
        for column, values in enumerate(columns):
            values = np.ascontiguousarray(values)  # the kernel is compiled for such
            gone = ~np.isfinite(values)
            if gone.any():
                values = np.where(gone, 0.0, values)
                missing[column] = spacious(totals.shape[:1], np.int32)
                _add_up(gone, order, start, missing[column])
            _add_up(values, order, start, totals[:, column])
        return cls(start, when, totals, missing, windows, averaged)

    @property
    def width(self) -> int:
        """How many features `read` gives."""
        columns = int(self.totals.shape[1])
        return 1 + (len(LAST) + len(self.windows)) * (1 + columns)

    def read(self, parent: NDArray[np.int64], cutoff: NDArray[np.int64]) -> Floats:
        """(n, features) of each parent's events before its cut-off; −1 has none.

        How many there are, how long ago the last, third, … was, means over the last rows, counts and sums by window.
        """
        who = parent.clip(0)
        low = self.start[who]
        high = np.where(parent >= 0, self.start[who + 1], low)
        past = before(self.available, low, high, cutoff)
        opened = who  # each parent before this one has one opening row
        features = [np.log1p(past - low)[:, None]]
        for last in LAST:
            first = np.maximum(low, past - last)
            features += [self._age(first, past - low >= last, cutoff), self._mean(first, past, opened)]
        for window in self.windows:
            first = before(self.available, low, past, cutoff - window)
            features += [np.log1p(past - first)[:, None], self._sum(first, past, opened)]
        return np.concatenate(features, axis=1)

    def means(self, parent: NDArray[np.int64], cutoff: NDArray[np.int64]) -> Floats:
        """(n, len(LAST), columns) means over each parent's last rows before its cut-off, NaN where there is no value."""
        low = self.start[parent]
        past = before(self.available, low, self.start[parent + 1], cutoff)
        tallies = [self._tally(np.maximum(low, past - last), past, parent) for last in LAST]
        return np.stack([np.where(count > 0, total / np.maximum(count, 1), np.nan) for count, total in tallies], axis=1)

    def _age(self, row: NDArray[np.int64], there: NDArray[np.bool_], cutoff: NDArray[np.int64]) -> Floats:
        """Logarithm of the days since each event; −1 where there is none."""
        age = np.full((len(row), 1), -1.0)
        age[there, 0] = np.log1p((cutoff[there] - self.available[row[there]]) / 86_400e9)
        return age

    def _mean(self, first: NDArray[np.int64], past: NDArray[np.int64], opened: NDArray[np.int64]) -> Floats:
        count, total = self._tally(first, past, opened)
        return np.asarray(np.arcsinh(total / np.maximum(count, 1)))

    def _tally(self, first: NDArray[np.int64], past: NDArray[np.int64], opened: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(n, columns) how many values are there, and their sums."""
        count = np.repeat((past - first)[:, None].astype(np.float64), self.totals.shape[1], axis=1)
        for column, running in self.missing.items():
            count[:, column] -= running[past + opened] - running[first + opened]
        return count, self.totals[past + opened] - self.totals[first + opened]

    def _sum(self, first: NDArray[np.int64], past: NDArray[np.int64], opened: NDArray[np.int64]) -> Floats:
        if not self.averaged:
            return np.asarray(np.arcsinh(self.totals[past + opened] - self.totals[first + opened]))
        count, total = self._tally(first, past, opened)
        total[:, -self.averaged :] /= np.maximum(count[:, -self.averaged :], 1)
        return np.asarray(np.arcsinh(total))
