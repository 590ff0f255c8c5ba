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

from relbench_harness.data.array_store import spacious
from relbench_harness.data.compiled import compiled
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
def _sums(totals: NDArray[Any], opened: NDArray[np.int64], ended: NDArray[np.int64]) -> Floats:
    """(n, stretches, columns) differences of running totals."""
    sums = np.empty((*opened.shape, totals.shape[1]))
    for i in range(len(opened)):
        for stretch in range(opened.shape[1]):
            for column in range(totals.shape[1]):
                sums[i, stretch, column] = totals[ended[i], column] - totals[opened[i, stretch], column]
    return sums


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


def earlier(
    available: NDArray[np.int64], start: NDArray[Any], parent: NDArray[Any], t: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) where each parent's stretch of `available` begins, and where its values before t end; both alike for −1.

    Args:
        start: (parents + 1,) where each parent's stretch begins; there may be no parents at all.
    """
    low = start[parent.clip(0)].astype(np.int64)
    high = np.where(parent < 0, low, start[(parent + 1).clip(0, len(start) - 1)])
    return low, before(available, low, high, t)


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
        low, past = earlier(self.available, self.start, parent, cutoff)
        windows = [before(self.available, low, past, cutoff - window) for window in self.windows]
        first = np.stack([*(np.maximum(low, past - last) for last in LAST), *windows], axis=1)
        count, total = self._tally(first, past, parent.clip(0))
        lasts, width = len(LAST), total.shape[2]
        total[:, :lasts] /= np.maximum(count[:, :lasts], 1)
        if self.averaged:
            total[:, lasts:, -self.averaged :] /= np.maximum(count[:, lasts:, -self.averaged :], 1)
        features = np.empty((len(parent), self.width))
        features[:, 0] = np.log1p(past - low)
        stretches = features[:, 1:].reshape(len(parent), first.shape[1], 1 + width)
        stretches[:, :lasts, 0] = self._age(first[:, :lasts], (past - low)[:, None] >= LAST, cutoff)
        stretches[:, lasts:, 0] = np.log1p(past[:, None] - first[:, lasts:])
        np.arcsinh(total, out=stretches[:, :, 1:])
        return features

    def means(self, parent: NDArray[np.int64], cutoff: NDArray[np.int64]) -> Floats:
        """(n, len(LAST), columns) means over each parent's last rows before its cut-off, NaN where there is no value."""
        low, past = earlier(self.available, self.start, parent, cutoff)
        count, total = self._tally(np.stack([np.maximum(low, past - last) for last in LAST], axis=1), past, parent)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _age(self, row: NDArray[np.int64], there: NDArray[np.bool_], cutoff: NDArray[np.int64]) -> Floats:
        """(n, lasts) logarithm of the days since each event; −1 where there is none."""
        age = np.full(row.shape, -1.0)
        days = (np.broadcast_to(cutoff[:, None], row.shape)[there] - self.available[row[there]]) / 86_400e9
        age[there] = np.log1p(days)
        return age

    def _tally(self, first: NDArray[np.int64], past: NDArray[np.int64], parent: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(n, stretches, columns) how many values are in each stretch from `first` (n, stretches) to `past`, and their sums."""
        # each parent before this one has one opening row
        opened, ended = first + parent[:, None], past + parent
        count = np.repeat((past[:, None] - first)[:, :, None].astype(np.float64), self.totals.shape[1], axis=2)
        for column, running in self.missing.items():
            count[:, :, column] -= running[ended][:, None] - running[opened]
        return count, _sums(self.totals, opened, ended)
