"""Items for a recommender: past items, popular items and negatives, all as of an example's cut-off.

They are read off the interactions of `temporal.interactions`, which ascend in time. So the interactions before a cut-off are a
prefix, and a random one of them is a random number below their count: items are drawn in proportion to their popularity at any
time without a table of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.data.database import Database
from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.drawing import GOLDEN, number_below, stream
from relbench_harness.temporal.interactions import InteractionIndex, InteractionPath, Interactions, interactions
from relbench_harness.temporal.visibility import visible

Long = NDArray[np.int64]
Weighting = Literal["uniform", "popular"]
NONE = -1
TRIES = 32
"""How often an item is drawn by popularity before one is drawn uniformly."""


class PastItems(NamedTuple):
    """The items that examples interacted with: example i has `item[ends[i]:ends[i + 1]]`, the latest first.

    Attributes:
        times: How often, for each item.
        rank: How many interactions of the example came after the last with this item.
    """

    ends: Long
    item: Long
    times: Long
    rank: Long


class Candidates:
    """The interactions along one path of a database, and the items at its end.

    Raises:
        InputError: `path` leads to other tables than the database has.
    """

    def __init__(self, database: Database, path: InteractionPath) -> None:
        for key in (*path.to_entity.keys, *path.to_item.keys):
            if key.child not in database or key.parent not in database:
                gone = key.parent if key.child in database else key.child
                raise InputError(f"no table {gone!r} in the database; {nearest(gone, database)}")
        self.path = path
        self.items = database[path.to_item.top]
        self.all: Interactions = interactions(database, path)
        self._by_entity = InteractionIndex(self.all, len(database[path.to_entity.top]))

    def past(self, entity: Long, cutoff: Long, most: int = 256) -> PastItems:
        """The visible items among the latest `most` interactions of each example before its cut-off."""
        found = self._by_entity.past(entity, cutoff, most)
        there = np.flatnonzero(visible(self.items, found.item, cutoff[found.example]))
        return _tally(found.example[there], found.item[there], len(entity), len(self.items))

    def popular(self, cutoff: int, days: float | None, most: int) -> tuple[Long, Long]:
        """The visible items of most interactions before `cutoff`, and how many; ties to the smaller row number.

        Args:
            days: Only interactions of the last so many days; None for all.
        """
        before = self.all.before(cutoff)
        named = (before if days is None else before.since(cutoff - int(days * 86_400e9))).item
        there = int(self.items.visible(np.array([cutoff]))[0])
        counts = np.bincount(named[named < there], minlength=there)
        order = np.argsort(-counts, kind="stable")[:most]
        order = order[counts[order] > 0]
        return order.astype(np.int64), counts[order].astype(np.int64)


def _tally(example: Long, item: Long, examples: int, items: int) -> PastItems:
    """Distinct (example, item) pairs in order of first occurrence, each example's interactions being listed latest first."""
    _, first, count = np.unique(example * items + item, return_index=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    first, count = first[order], count[order]
    begins = np.searchsorted(example, np.arange(examples))
    ends = np.searchsorted(example[first], np.arange(examples + 1))
    return PastItems(ends.astype(np.int64), item[first], count, first - begins[example[first]])


class Positives(NamedTuple):
    """Example i named `item[ends[i]:ends[i + 1]]`."""

    ends: Long
    item: Long


@dataclass(frozen=True)
class Negatives:
    """Draws items that an example did not name.

    Attributes:
        weighting: `uniform` over the visible items, or `popular`: in proportion to the interactions before the cut-off.
        seed: With the entity and the cut-off, fixes every draw.
    """

    candidates: Candidates
    weighting: Weighting = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weighting not in get_args(Weighting):
            raise InputError(
                f"no weighting {self.weighting!r} of negatives; {nearest(self.weighting, get_args(Weighting))}"
            )

    def draw(self, entity: Long, cutoff: Long, positives: Positives, count: int, seed: int | None = None) -> Long:
        """(examples, count) visible items that are not positive; −1 where an example has none."""
        found = self.candidates
        by_popularity = self.weighting == "popular"
        before = found.all.count_before(cutoff) if by_popularity else np.zeros(len(cutoff), np.int64)
        chances = _Chances(
            np.asarray(entity, np.int64),
            np.asarray(cutoff, np.int64),
            found.items.visible(cutoff),
            before,
            np.asarray(positives.ends, np.int64),
        )
        key = np.uint64((self.seed if seed is None else seed) % 2**64)
        return _negatives(key, chances, found.all.item, np.asarray(positives.item, np.int64), count)


class _Chances(NamedTuple):
    """(n,) per example, but (n + 1,) `ends`."""

    entity: Long
    cutoff: Long
    items: Long
    interactions: Long
    ends: Long


@compiled
def _negatives(seed: np.uint64, of: _Chances, named: NDArray[Any], positives: Long, count: int) -> Long:
    out = np.full((len(of.entity), count), NONE, np.int64)
    for i in range(len(of.entity)):
        known = np.unique(positives[of.ends[i] : of.ends[i + 1]])
        known = known[known < of.items[i]]
        if of.items[i] <= len(known):
            continue
        key = stream(seed, of.cutoff[i], np.int64(-1), of.entity[i])
        for j in range(count):
            found = np.int64(NONE)
            for _ in range(TRIES if of.interactions[i] > 0 else 0):
                key += GOLDEN
                drawn = named[number_below(of.interactions[i], key)]
                if drawn < of.items[i]:
                    at = np.searchsorted(known, drawn)
                    if at == len(known) or known[at] != drawn:
                        found = np.int64(drawn)
                        break
            if found == NONE:
                # the n-th visible item that is not positive
                key += GOLDEN
                found = np.int64(number_below(of.items[i] - len(known), key))
                for item in known:
                    if item <= found:
                        found += 1
            out[i, j] = found
    return out
