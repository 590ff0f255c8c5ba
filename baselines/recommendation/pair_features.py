"""What one table of interactions says, at a cut-off, about pairs of an entity and an item.

Invariant: only interactions older than the cut-off count, and row numbers say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..interactions import ALWAYS, Events

DAY = 86_400_000_000_000
YEAR = 365 * DAY


@dataclass(frozen=True)
class PairFeatures:
    """Interactions from the side of the entities of some examples, numbered 0 … n − 1.

    A pair's key is entity · items + item.

    Attributes:
        seen: All interactions older than the cut-off.
        own: Those of the n entities, by their numbers.
        entities, items: How many there are.
        windows: Name → start (nanoseconds) of each window up to the cut-off, all time last.
    """

    seen: Events
    own: Events
    entities: int
    items: int
    cutoff: int
    horizon: int
    windows: Mapping[str, int]
    latest: int

    @cached_property
    def related(self) -> sparse.csr_matrix:
        """(entities, items) summed cosine similarity of each item to the entity's `latest` items."""
        everyone, mine = latest_items(self.seen, self.latest), latest_items(self.own, self.latest)
        shape = (int(everyone.entity.max(initial=0)) + 1, self.items)
        met = sparse.csr_matrix((np.ones(len(everyone)), (everyone.entity, everyone.item)), shape=shape)
        own = sparse.csr_matrix((np.ones(len(mine)), (mine.entity, mine.item)), shape=(self.entities, self.items))
        norms = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(met.sum(axis=0)).ravel(), 1)))
        found: sparse.csr_matrix = ((own @ norms).tocsr() @ (met.T.tocsr() @ (met @ norms).tocsr())).tocsr()
        found.sort_indices()
        return found

    def popularity(self, start: int) -> NDArray[np.float64]:
        """(items,) interactions with each item since `start`."""
        return np.bincount(self.seen.since(start).item, minlength=self.items).astype(np.float64)

    def keys(self, own: int, popular: int, related: int) -> NDArray[np.int64]:
        """Ascending keys of the candidates; see `InteractionCandidates`."""
        mine = latest_items(self.own, own)
        parts = [mine.entity * self.items + mine.item]
        for start in [*list(self.windows.values())[:2], ALWAYS]:
            counts = self.popularity(start)
            top = np.argsort(-counts, kind="stable")[:popular]
            parts.append((np.arange(self.entities)[:, None] * self.items + top[counts[top] > 0]).ravel())
        found = self.related.tocoo()
        order = np.lexsort((found.col, -found.data, found.row))
        best = order[rank_in_run(found.row[order].astype(np.int64)) < related]
        parts.append(found.row[best].astype(np.int64) * self.items + found.col[best])
        return np.unique(np.concatenate(parts))

    def columns(self, entity: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(pairs,) values of each feature for pairs of an entity's number and an item."""
        wanted, year = entity * self.items + item, self.cutoff - YEAR
        columns = {"related": np.asarray(self.related[entity, item]).ravel()}
        for name, start in self.windows.items():
            popular, mine = self.popularity(start), self.own.since(start)
            columns[f"popularity {name}"] = popular[item] / max(popular.sum(), 1)
            columns[f"rank {name}"] = ranks(popular)[item]
            columns[f"own {name}"] = self._counts(mine, wanted)
            columns[f"activity {name}"] = np.bincount(mine.entity, minlength=self.entities)[entity].astype(np.float64)
        season, mine = (met.since(year).before(year + self.horizon) for met in (self.seen, self.own))
        columns["popularity a year ago"] = np.bincount(season.item, minlength=self.items)[item] / max(len(season), 1)
        columns["own a year ago"] = self._counts(mine, wanted)
        columns["item's last"] = self._age(last_of_each(self.seen.item, self.seen.time, self.items)[item])
        columns["item's first"] = self._age(last_of_each(self.seen.item[::-1], self.seen.time[::-1], self.items)[item])
        columns["own last"] = self._age(self._own_last(wanted))
        columns["own distinct"] = np.bincount(self.own.distinct.entity, minlength=self.entities)[entity].astype(np.float64)
        return columns

    def _counts(self, own: Events, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """How many of some interactions each of the keys `wanted` has."""
        keys = np.sort(own.entity * self.items + own.item)
        return (np.searchsorted(keys, wanted, side="right") - np.searchsorted(keys, wanted)).astype(np.float64)

    def _own_last(self, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """The time of the latest interaction of each of the keys `wanted`, NaN without one."""
        last = self.own.distinct
        keys = last.entity * self.items + last.item
        order = np.argsort(keys)
        place = np.searchsorted(keys[order], wanted)
        found = np.append(keys[order], -1)[place] == wanted
        return np.where(found, np.append(last.time[order].astype(np.float64), np.nan)[place], np.nan)

    def _age(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Days from `time` to the cut-off; NaN for no time, or that of a table without times."""
        return np.where(time > float(ALWAYS), (self.cutoff - time) / DAY, np.nan)


def renumbered(interactions: Events, entity: NDArray[np.int64]) -> Events:
    """The interactions of the entities in ascending `entity`, which is not empty, by their places there."""
    place = np.searchsorted(entity, interactions.entity).clip(max=len(entity) - 1)
    own = entity[place] == interactions.entity
    return Events(place[own], interactions.item[own], interactions.time[own])


def latest_items(interactions: Events, most: int) -> Events:
    """The latest interaction with each of an entity's `most` latest items."""
    distinct = interactions.distinct
    order = np.lexsort((-distinct.time, distinct.entity))
    return distinct.of(order[rank_in_run(distinct.entity[order]) < most])


def rank_in_run(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each value among those equal to it, from 0."""
    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


def last_of_each(keys: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """(size,) the last value of each key in the order given, NaN without one."""
    found = np.full(size, np.nan)
    found[keys] = values
    return found


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many values are greater: equal values share a rank, so that row numbers say nothing."""
    return (len(values) - np.searchsorted(np.sort(values), values, side="right")).astype(np.float64)
