"""Which items are popular among interactions that share a parent with the entity: its city, its team, the store of its baskets.

Invariant: only interactions older than the cut-off count, and row numbers say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.features.pair_features import rank_in_run
from relbench_harness.temporal.interactions import Interactions
from relbench_harness.temporal.visibility import Rows

FEWEST_INTERACTIONS = 10
"""Groups of fewer interactions on average say nothing of popularity."""


@dataclass(frozen=True)
class SharedParentFeatures:
    """Popularity within the groups that one way to a shared parent makes.

    Attributes:
        name: Of the way.
        seen: All interactions older than the cut-off, with groups of that name.
        of_entity: (n,) the group of each entity at the cut-off, −1 for none.
        items: How many items there are. A pair's key is the entity's number · items + item.
        windows: Name → start (nanoseconds) of each window up to the cut-off.
    """

    name: str
    seen: Interactions
    of_entity: Rows
    items: int
    windows: Mapping[str, int]

    @cached_property
    def _groups(self) -> Rows:
        """(groups,) the different groups of the entities, ascending."""
        return np.unique(self.of_entity[self.of_entity >= 0])

    @cached_property
    def _place(self) -> Rows:
        """(n,) the place of each entity's group among `_groups`, −1 for none."""
        return np.where(self.of_entity >= 0, np.searchsorted(self._groups, self.of_entity), -1)

    @cached_property
    def _counts(self) -> Mapping[str, sparse.csr_matrix]:
        """Window → (groups, items) how many interactions of each group are with each item."""
        groups = self._groups
        found = {}
        for name, start in self.windows.items():
            some = self.seen.since(start)
            group = some.groups[self.name]
            place = np.searchsorted(groups, group).clip(max=max(len(groups) - 1, 0))
            known = np.flatnonzero(groups[place] == group) if len(groups) else np.zeros(0, np.int64)
            cells = np.ones(len(known)), (place[known], some.item[known])
            found[name] = sparse.csr_matrix(cells, shape=(max(len(groups), 1), self.items))
        return found

    def keys(self, popular: int) -> NDArray[np.int64]:
        """Keys of the `popular` most popular items of each entity's group, in each window."""
        place = self._place
        parts = [np.zeros(0, np.int64)]
        for counts in self._counts.values():
            cells = counts.tocoo()
            order = np.lexsort((cells.col, -cells.data, cells.row))
            best = order[rank_in_run(cells.row[order]) < popular]
            starts = np.searchsorted(cells.row[best], np.arange(counts.shape[0] + 1))
            known = np.flatnonzero(place >= 0)
            sizes = np.diff(starts)[place[known]]
            number = np.repeat(known, sizes)
            at = np.repeat(starts[place[known]], sizes) + rank_in_run(number)
            parts.append(number * self.items + cells.col[best][at])
        return np.concatenate(parts)

    def columns(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(pairs,) the item's share of its group's interactions in each window; NaN for entities without a group."""
        place = self._place[number]
        found = {}
        for name, counts in self._counts.items():
            total = np.asarray(counts.sum(axis=1)).ravel()[place.clip(0)]
            share = np.asarray(counts[place.clip(0), item]).ravel() / np.maximum(total, 1)
            found[f"popularity {name} [{self.name}]"] = np.where(place >= 0, share, np.nan)
        return found


def is_telling(group: Rows) -> bool:
    """Whether interactions fall into several groups that are large enough to say what is popular in them."""
    known = group[group >= 0]
    several = len(np.unique(known))
    return several > 1 and len(known) >= FEWEST_INTERACTIONS * several


def latest_group(own: Interactions, name: str, entities: int) -> Rows:
    """(entities,) the group of each entity's latest interaction that has one, −1 for none."""
    found = np.full(entities, -1, np.int64)
    known = own.groups[name] >= 0
    # interactions ascend in time, so the latest of an entity is written last
    found[own.entity[known]] = own.groups[name][known]
    return found
