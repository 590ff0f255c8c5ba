"""Rows by the parent that they name, each parent's in time order: compressed sparse rows, and binary search in them.

Invariant: the rows of one parent ascend by the time from which they can be seen, so what is visible at a time is a prefix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.temporal.stretch import Stretch

Ids = NDArray[Any]
"""Row numbers, int32 where they fit, else int64."""
Times = NDArray[np.int64]


class Children(NamedTuple):
    """Parent p has the children `rows[starts[p]:starts[p + 1]]`.

    Attributes:
        starts: (parents + 1,).
        rows: Child rows, ascending within a parent.
    """

    starts: Ids
    rows: Ids


def by_parent(named: Ids, parents: int) -> Children:
    """The children of `parents` rows, by a stable counting sort.

    Args:
        named: (rows,) the parent that each row names, −1 for none.
    """
    starts = np.empty(parents + 1, np.int64)
    count_children(named, starts)
    rows = np.empty(int(starts[-1]), np.int32 if len(named) < 2**31 else np.int64)
    place_children(named, starts, rows)
    return Children(starts, rows)


@compiled
def count_children(named: Ids, starts: Ids) -> None:
    """Fill (parents + 1,) `starts` with where each parent's children begin."""
    starts[:] = 0
    for parent in named:
        if parent >= 0:
            starts[parent + 1] += 1
    for parent in range(1, len(starts)):
        starts[parent] += starts[parent - 1]


@compiled
def place_children(named: Ids, starts: Ids, rows: Ids) -> None:
    """Fill `rows` with the children in the order that `starts` says."""
    filled = starts[:-1].copy()
    for row in range(len(named)):
        parent = named[row]
        if parent >= 0:
            rows[filled[parent]] = row
            filled[parent] += 1


@compiled
def first_at_or_after(times: Times, low: NDArray[np.int64], high: NDArray[np.int64], t: Times) -> NDArray[np.int64]:
    """(n,) for each stretch [low, high) of ascending `times`, the position of the first that is not before t."""
    out = np.empty(len(t), np.int64)
    for i in range(len(t)):
        a, b = low[i], high[i]
        while a < b:
            middle = (a + b) // 2
            if times[middle] < t[i]:
                a = middle + 1
            else:
                b = middle
        out[i] = a
    return out


def seen(times: Times, starts: Ids, parent: Ids, cutoff: Times) -> Stretch:
    """What of each parent's rows is older than its cut-off.

    Args:
        times: When each row can be seen, by parent and then ascending.
        starts: (parents + 1,) where each parent's rows begin; there may be no parents at all.
        parent: (n,) −1 for none, which sees nothing.
        cutoff: (n,) nanoseconds.
    """
    first = starts[parent.clip(0)].astype(np.int64)
    end = np.where(parent < 0, first, starts[(parent + 1).clip(0, len(starts) - 1)])
    return Stretch(first, first_at_or_after(times, first, end, cutoff))
