"""What one table of interactions says, at a cut-off, about pairs of an entity and an item.

Invariant: only interactions older than the cut-off count, and row numbers say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.data.distinct import distinct
from relbench_harness.features.co_visitation import CoVisitation
from relbench_harness.temporal.interactions import Interactions
from relbench_harness.temporal.visibility import ALWAYS, days_before

DAY = 86_400_000_000_000
YEAR = 365 * DAY


@dataclass(frozen=True)
class PairFeatures:
    """Interactions from the side of the entities of some examples, numbered 0 … n − 1.

    Attributes:
        seen: All interactions older than the cut-off.
        entity: (n,) row numbers of the entities, ascending; not empty.
        items: How many items there are. A pair's key is the entity's number · items + item.
        cutoff, horizon: Nanoseconds.
        windows: Name → start (nanoseconds) of each window up to the cut-off, all time last.
        latest: Only the latest so many distinct items of an entity count for co-visitation.
    """

    seen: Interactions
    entity: NDArray[np.int64]
    items: int
    cutoff: int
    horizon: int
    windows: Mapping[str, int]
    latest: int

    @cached_property
    def own(self) -> Interactions:
        """The interactions of the n entities, by their numbers."""
        number = np.searchsorted(self.entity, self.seen.entity).clip(max=len(self.entity) - 1)
        own = self.entity[number] == self.seen.entity
        return replace(self.seen.take(own), entity=number[own])

    @cached_property
    def related(self) -> CoVisitation:
        """Of each item with the entity's `latest` items."""
        all_latest, mine = latest_items(self.seen, self.latest), latest_items(self.own, self.latest)
        met = self._matrix(all_latest, np.ones(len(all_latest)), int(all_latest.entity.max(initial=0)) + 1)
        return CoVisitation.of(self._matrix(mine, np.ones(len(mine)), len(self.entity)), met)

    def keys(self, own: int, popular: int, related: int) -> NDArray[np.int64]:
        """Ascending keys of the candidates; see `InteractionCandidates`."""
        mine, entities = latest_items(self.own, own), np.arange(len(self.entity))[:, None]
        parts = [mine.entity * self.items + mine.item]
        for start in [*list(self.windows.values())[:2], ALWAYS]:
            counts = np.bincount(self.seen.since(start).item, minlength=self.items)
            top = np.argsort(-counts, kind="stable")[:popular]
            parts.append((entities * self.items + top[counts[top] > 0]).ravel())
        parts.append(self.related.greatest(related))
        return distinct(np.concatenate(parts))

    def columns(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(pairs,) values of each feature for pairs of an entity's number, ascending, and an item."""
        entities, year, distinct = len(self.entity), self.cutoff - YEAR, self.own.distinct
        columns = {"related": self.related.at(number, item)}
        for name, start in self.windows.items():
            popular, mine = np.bincount(self.seen.since(start).item, minlength=self.items), self.own.since(start)
            greater = self.items - np.searchsorted(np.sort(popular), popular, side="right")
            columns[f"popularity {name}"] = popular[item] / max(popular.sum(), 1)
            columns[f"rank {name}"] = greater[item].astype(np.float64)
            columns[f"own {name}"] = _at(self._matrix(mine, np.ones(len(mine)), entities), number, item)
            columns[f"activity {name}"] = np.bincount(mine.entity, minlength=entities)[number].astype(np.float64)
        season, mine = (some.since(year).before(year + self.horizon) for some in (self.seen, self.own))
        columns["popularity a year ago"] = np.bincount(season.item, minlength=self.items)[item] / max(len(season), 1)
        columns["own a year ago"] = _at(self._matrix(mine, np.ones(len(mine)), entities), number, item)
        columns["item's last"] = self._item_age(self.seen.item, self.seen.time)[item]
        columns["item's first"] = self._item_age(self.seen.item[::-1], self.seen.time[::-1])[item]
        age = _at(self._matrix(distinct, days_before(distinct.time, self.cutoff), entities), number, item)
        columns["own last"] = np.where(columns["own all time"] > 0, age, np.nan)
        columns["own distinct"] = np.bincount(distinct.entity, minlength=entities)[number].astype(np.float64)
        return columns

    def _matrix(self, interactions: Interactions, values: NDArray[np.float64], entities: int) -> sparse.csr_matrix:
        """(entities, items) sums of the interactions' values."""
        return sparse.csr_matrix((values, (interactions.entity, interactions.item)), shape=(entities, self.items))

    def _item_age(self, item: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
        """(items,) age of the last interaction with each item in the order given, NaN without one."""
        found = np.full(self.items, np.nan)
        found[item] = days_before(time, self.cutoff)
        return found


def latest_items(interactions: Interactions, most: int) -> Interactions:
    """The latest interaction with each of an entity's `most` latest items."""
    distinct = interactions.distinct
    order = np.lexsort((-distinct.time, distinct.entity))
    return distinct.take(order[rank_in_run(distinct.entity[order]) < most])


def rank_in_run(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each value among those equal to it, from 0."""
    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


def _at(matrix: sparse.csr_matrix, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """The entries of a matrix, whose indices are sorted, at pairs of a row and a column; 0 where it holds none."""
    if not matrix.nnz:
        return np.zeros(len(row))
    width = matrix.shape[1]
    held = np.repeat(np.arange(matrix.shape[0]) * width, np.diff(matrix.indptr)) + matrix.indices
    wanted = row * width + column
    place = np.searchsorted(held, wanted).clip(max=len(held) - 1)
    return np.where(held[place] == wanted, matrix.data[place], 0.0)
