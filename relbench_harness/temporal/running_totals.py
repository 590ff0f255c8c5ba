"""Running totals of numbers by owner, from which sums and means over any stretch of an owner's rows are differences.

Invariant: totals start anew at every owner, so no digit of a stretch rests on the rows of another owner or on a later row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.compiled import compiled
from relbench_harness.temporal.children import Ids
from relbench_harness.temporal.stretch import Stretch

Floats = NDArray[np.float64]
Long = NDArray[np.int64]


@compiled
def _add_up(values: NDArray[Any], order: NDArray[Any], starts: Long, totals: NDArray[Any]) -> None:
    """(rows + owners,) running totals of `values[order]` by owner, each owner's opening with the zero that is there."""
    for owner in range(len(starts) - 1):
        for row in range(starts[owner], starts[owner + 1]):
            totals[row + owner + 1] = totals[row + owner] + values[order[row]]


@compiled
def _differences(totals: NDArray[Any], opened: Long, ended: Long) -> Floats:
    """(n, stretches, columns) differences of running totals."""
    sums = np.empty((*opened.shape, totals.shape[1]))
    for i in range(len(opened)):
        for stretch in range(opened.shape[1]):
            for column in range(totals.shape[1]):
                sums[i, stretch, column] = totals[ended[i], column] - totals[opened[i, stretch], column]
    return sums


@dataclass(frozen=True)
class RunningTotals:
    """Running totals of several columns of numbers.

    Attributes:
        totals: (rows + owners, columns) running sums of the numbers that are there, 0 before an owner's first row.
        missing: Column → (rows + owners,) running counts of those that are not; columns without any are not named.
    """

    totals: Floats
    missing: Mapping[int, NDArray[np.int32]]

    @classmethod
    def of(cls, columns: Iterable[Floats], width: int, starts: Ids, order: Ids) -> RunningTotals:
        """From `width` columns, of which one at a time need be in memory.

        Args:
            columns: (all rows,) numbers, NaN where missing.
            starts: (owners + 1,) where each owner's rows begin in `order`.
            order: Row numbers by owner, in the order in which they are added up.
        """
        starts = starts.astype(np.int64, copy=False)
        totals = spacious((len(order) + len(starts) - 1, width), np.float64)
        missing = {}
        for number, values in enumerate(columns):
            values = np.ascontiguousarray(values)  # the kernel is compiled for such
            gone = ~np.isfinite(values)
            if gone.any():
                values = np.where(gone, 0.0, values)
                missing[number] = spacious(totals.shape[:1], np.int32)
                _add_up(gone, order, starts, missing[number])
            _add_up(values, order, starts, totals[:, number])
        return cls(totals, missing)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return int(self.totals.shape[1])

    def between(self, owner: Long, first: Long, last: Long) -> tuple[Floats, Floats]:
        """(n, stretches, columns) how many numbers lie in each stretch from `first` (n, stretches) to `last` (n,), and their sums.

        Args:
            owner: (n,) whose rows the stretches are; each owner before it has one opening row.
        """
        opened, ended = first + owner[:, None], last + owner
        count = np.repeat((last[:, None] - first)[:, :, None].astype(np.float64), self.width, axis=2)
        for column, running in self.missing.items():
            count[:, :, column] -= running[ended][:, None] - running[opened]
        return count, _differences(self.totals, opened, ended)


class Series:
    """One number per row, in the order of the owners' rows: means, deviations and extremes of stretches.

    Sums are taken of values centred on their owner's first one, so that a small deviation of large numbers keeps its digits.

    Args:
        values: (m,) NaN where missing.
        starts: (owners + 1,) where each owner's values begin.
    """

    def __init__(self, values: Floats, starts: Long) -> None:
        self._values, self._starts = values, starts
        first = _first_values(values, starts)
        self._centre = np.append(first, np.nan)
        centred = values - np.repeat(first, np.diff(starts))
        order = np.arange(len(values))
        self._totals = RunningTotals.of(iter((centred, centred**2)), 2, starts, order)

    def mean(self, owner: Long, stretch: Stretch) -> Floats:
        """(n,) means, NaN where a stretch holds no value."""
        count, total = self._between(owner, stretch)
        return np.where(count > 0, total[:, 0] / np.maximum(count, 1) + self._centre[owner], np.nan)

    def std(self, owner: Long, stretch: Stretch) -> Floats:
        """(n,) standard deviations (ddof 1), NaN below two values."""
        count, total = self._between(owner, stretch)
        spread = np.maximum(total[:, 1] - total[:, 0] ** 2 / np.maximum(count, 1), 0.0)
        return np.where(count > 1, np.sqrt(spread / np.maximum(count - 1, 1)), np.nan)

    def extremes(self, stretch: Stretch, most: int) -> tuple[Floats, Floats]:
        """(n,) minima and maxima of the last `most` values of each stretch."""
        first, last = stretch
        low, high = np.full(len(first), np.inf), np.full(len(first), -np.inf)
        for back in range(1, most + 1):
            inside = last - back >= first
            if not inside.any():
                break
            value = np.where(inside, self._values[np.where(inside, last - back, 0)], np.nan)
            low, high = np.fmin(low, value), np.fmax(high, value)
        none = np.isinf(low)
        return np.where(none, np.nan, low), np.where(none, np.nan, high)

    def _between(self, owner: Long, stretch: Stretch) -> tuple[Floats, Floats]:
        """(n,) how many values there are, and (n, 2) their centred sum and sum of squares."""
        count, total = self._totals.between(owner, stretch.first[:, None], stretch.last)
        return count[:, 0, 0], total[:, 0]


def _first_values(values: Floats, starts: Long) -> Floats:
    """(owners,) each owner's first value that is not missing, NaN without one."""
    first = np.full(len(starts) - 1, np.nan)
    there = np.flatnonzero(~np.isnan(values))
    place = np.searchsorted(there, starts[:-1])
    some = place < len(there)
    at = there[np.where(some, place, 0)] if len(there) else np.zeros(len(first), np.int64)
    some &= at < starts[1:]
    first[some] = values[at[some]]
    return first
