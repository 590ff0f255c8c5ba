"""Which entity interacted with which item when: the events behind a recommendation task, read off the schema.

An interaction path is a table whose foreign keys lead, over as many of them as the schema needs, to the entities and to the
items. Each of its rows is an interaction (entity, item, time). Its time is the latest of the row's own and those on the way: only then can
the whole of it be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.protocol.method import Ragged
from relbench_harness.temporal.children import by_parent, seen
from relbench_harness.temporal.closed_labels import ClosedLabels
from relbench_harness.temporal.paths import ForeignKey, KeyPath, parent_paths
from relbench_harness.temporal.visibility import Rows, Times, follow

SHORT_KEYS = 2
"""Foreign keys of a way from interactions to entities or items, where such a way is found."""
LONGEST_KEYS = 6
"""Where no path is found, longer ways are looked for, up to so many keys."""


@dataclass(frozen=True)
class InteractionPath:
    """The keys that lead from a table of interactions to the entity and to the item."""

    to_entity: KeyPath
    to_item: KeyPath

    @property
    def table(self) -> str:
        return self.to_entity.table

    @property
    def name(self) -> str:
        return f"{self.table}.{'.'.join(self.to_item.columns)}"


def interaction_paths(database: Database, entities: str, items: str, most: int = 4) -> tuple[InteractionPath, ...]:
    """The paths between two tables, those of the fewest keys and most rows first, at most `most`.

    Each way is at most `SHORT_KEYS` long, or as long as the shortest path needs. None turns back where it came from: such rows
    only repeat an interaction of their parent's.
    """
    found = list[InteractionPath]()
    for keys in range(SHORT_KEYS, LONGEST_KEYS + 1):
        found = [
            InteractionPath(to_entity, to_item)
            for name in database
            if name not in (entities, items)
            for to_entity in parent_paths(database, name, entities, keys)
            for to_item in parent_paths(database, name, items, keys)
            if to_entity.columns[0] != to_item.columns[0]
        ]
        if found:
            break

    def rank(path: InteractionPath) -> tuple[int, int, str, tuple[str, ...]]:
        keys = len(path.to_entity.keys) + len(path.to_item.keys)
        return keys, -len(database[path.table]), path.table, path.to_item.columns

    return tuple(sorted(found, key=rank)[:most])


def shared_parents(database: Database, path: InteractionPath) -> tuple[KeyPath, ...]:
    """Ways from the interactions to rows that entities share, such as a customer's city or the store of a basket.

    They are the foreign keys of the tables from the interactions up to the entities, those of the path itself aside. Keys of the
    entities come first.
    """
    on_path, ends = {*path.to_entity.keys, *path.to_item.keys}, {path.to_entity.top, path.to_item.top}
    tables = (*path.to_entity.tables, path.to_entity.top)
    return tuple(
        KeyPath((*path.to_entity.keys[:depth], key))
        for depth in range(len(tables) - 1, -1, -1)
        for column, parent in database[tables[depth]].references.items()
        if (key := ForeignKey(tables[depth], column, parent)) not in on_path and parent not in ends
    )


def _no_groups() -> Mapping[str, Rows]:
    return {}


@dataclass(frozen=True)
class Interactions:
    """Interactions, ascending in time.

    Attributes:
        entity, item, time: (m,) of each interaction.
        groups: Name of a way → (m,) the row that it leads to from each interaction, −1 for none; see `shared_parents`.
    """

    entity: Rows
    item: Rows
    time: Times
    groups: Mapping[str, Rows] = field(default_factory=_no_groups)

    def __len__(self) -> int:
        return len(self.time)

    def count_before(self, cutoff: Times) -> NDArray[np.int64]:
        """(n,) how many interactions are older than each cut-off."""
        return np.searchsorted(self.time, cutoff, side="left").astype(np.int64)

    def before(self, cutoff: int) -> Interactions:
        """Interactions older than `cutoff`."""
        return self._slice(0, int(self.count_before(np.array([cutoff]))[0]))

    def since(self, time: int) -> Interactions:
        """Interactions at `time` or later."""
        return self._slice(int(np.searchsorted(self.time, time, side="left")), len(self))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Interactions:
        """The interactions `rows`, which must ascend."""
        groups = {name: group[rows] for name, group in self.groups.items()}
        return Interactions(self.entity[rows], self.item[rows], self.time[rows], groups)

    def _slice(self, first: int, last: int) -> Interactions:
        groups = {name: group[first:last] for name, group in self.groups.items()}
        return Interactions(self.entity[first:last], self.item[first:last], self.time[first:last], groups)

    @cached_property
    def distinct(self) -> Interactions:
        """The latest interaction of each (entity, item), ascending in time."""
        span = int(self.item.max(initial=0)) + 1
        _, last = np.unique((self.entity * span + self.item)[::-1], return_index=True)
        return self.take(np.sort(len(self) - 1 - last))


def interactions(database: Database, path: InteractionPath, shared: Sequence[KeyPath] = ()) -> Interactions:
    """The interactions along `path`; a row whose path is broken by a null is none.

    Args:
        shared: The ways whose rows are the interactions' groups.
    """
    entity, item = follow(database, path.to_entity), follow(database, path.to_item)
    time = np.maximum(entity.available, item.available)
    rows = np.flatnonzero((entity.row >= 0) & (item.row >= 0))
    rows = rows[np.argsort(time[rows], kind="stable")]
    groups = {way.name: follow(database, way).row[rows] for way in shared}
    return Interactions(entity.row[rows], item.row[rows], time[rows], groups)


def past_answers(labels: ClosedLabels) -> Interactions:
    """The items that past labels named, each an interaction just before the label is known."""
    if not isinstance(labels.value, Ragged):
        raise TypeError("only labels of recommendation tasks name items")
    counts = np.diff(labels.value.offsets)
    time = np.repeat(labels.known_from - 1, counts)
    order = np.argsort(time, kind="stable")
    return Interactions(np.repeat(labels.entity, counts)[order], labels.value.values[order], time[order])


class PastInteractions(NamedTuple):
    """(m,) which example each interaction belongs to, its item and its time."""

    example: Rows
    item: Rows
    time: Times


class InteractionIndex:
    """Interactions by entity and then by time.

    Args:
        entities: How many entities there are.
    """

    def __init__(self, found: Interactions, entities: int) -> None:
        self._starts, order = by_parent(found.entity, entities)
        self.item, self.time = found.item[order], found.time[order]

    def past(self, entity: Rows, cutoff: Times, most: int) -> PastInteractions:
        """The latest interactions of each example's entity before its cut-off, at most `most`, the latest first."""
        first, end = seen(self.time, self._starts, entity, cutoff)
        count = np.minimum(end - first, most)
        example = np.repeat(np.arange(len(entity)), count)
        place = end[example] - 1 - (np.arange(len(example)) - np.repeat(np.cumsum(count) - count, count))
        return PastInteractions(example, self.item[place], self.time[place])
