"""Who met which item when: the events behind a recommendation task, read off the schema.

A trail is a table whose foreign keys lead, over at most two of them, to the asking entities and to the items. Each of its
rows is an event (entity, item, time); its time is the latest of the row's own and those on the way, because only then is
the whole of it visible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.task import Task
from relbench_harness.protocol.method import Ragged
from relbench_harness.temporal.closed_labels import ClosedLabels

Path = tuple[str, ...]
ALWAYS = -(2**62)
"""When rows of static tables become available: before all others, and no difference with a time overflows."""


@dataclass(frozen=True)
class Trail:
    """A table of events, and the foreign keys that lead from it to the entity and to the item."""

    table: str
    to_entity: Path
    to_item: Path

    @property
    def name(self) -> str:
        return f"{self.table}.{'.'.join(self.to_item)}"


def trails(database: Database, task: Task, most: int = 4) -> tuple[Trail, ...]:
    """The trails between the task's entities and items, those of the shortest paths and most rows first.

    None turns back where it came from: such rows only repeat an event of their parent's.
    """
    if task.item_table is None:
        raise TypeError("only recommendation tasks have items")
    found = [
        Trail(name, to_entity, to_item)
        for name in database
        if name not in (task.entity_table, task.item_table)
        for to_entity in paths(database, name, task.entity_table)
        for to_item in paths(database, name, task.item_table)
        if to_entity[0] != to_item[0]
    ]
    order = sorted(found, key=lambda t: (len(t.to_entity) + len(t.to_item), -len(database[t.table]), t.table, t.to_item))
    return tuple(order[:most])


def paths(database: Database, table: str, goal: str, steps: int = 2) -> Iterator[Path]:
    """Every way from `table` to `goal` along at most `steps` foreign keys, shortest first."""
    reached: list[tuple[Path, str]] = [((), table)]
    for _ in range(steps):
        reached = [((*path, column), parent) for path, at in reached for column, parent in database[at].references.items()]
        yield from (path for path, at in reached if at == goal)


@dataclass(frozen=True)
class Events:
    """(e,) entity, item and time of each event, ascending in time."""

    entity: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def before(self, cutoff: int) -> Events:
        """Events older than `cutoff`."""
        return self._slice(0, int(np.searchsorted(self.time, cutoff, side="left")))

    def since(self, time: int) -> Events:
        """Events at `time` or later."""
        return self._slice(int(np.searchsorted(self.time, time, side="left")), len(self))

    def of(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Events:
        return Events(self.entity[rows], self.item[rows], self.time[rows])

    def _slice(self, first: int, last: int) -> Events:
        return Events(self.entity[first:last], self.item[first:last], self.time[first:last])

    @cached_property
    def distinct(self) -> Events:
        """The latest event of each (entity, item), ascending in time."""
        span = int(self.item.max(initial=0)) + 1
        _, last = np.unique((self.entity * span + self.item)[::-1], return_index=True)
        return self.of(np.sort(len(self) - 1 - last))


def events(database: Database, trail: Trail) -> Events:
    """The events of `trail`; rows whose path is broken by a null are none."""
    table = database[trail.table]
    time = table.times if table.times is not None else np.full(len(table), ALWAYS, dtype=np.int64)
    entity, time = _follow(database, trail.table, trail.to_entity, time)
    item, time = _follow(database, trail.table, trail.to_item, time)
    rows = np.flatnonzero((entity >= 0) & (item >= 0))
    rows = rows[np.argsort(time[rows], kind="stable")]
    return Events(entity[rows], item[rows], time[rows])


def answers(labels: ClosedLabels) -> Events:
    """The items that past questions named, each an event just before the label is known."""
    if not isinstance(labels.value, Ragged):
        raise TypeError("only answers of recommendation tasks name items")
    counts = np.diff(labels.value.offsets)
    time = np.repeat(labels.known_from - 1, counts)
    order = np.argsort(time, kind="stable")
    return Events(np.repeat(labels.entity, counts)[order], labels.value.values[order], time[order])


def _follow(
    database: Database, table: str, path: Path, time: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows of `table`,) the row at the end of `path`, −1 where it breaks, and when all of it is there.

    The last row's own time does not count: asking about an entity or an item presupposes it.
    """
    at = np.arange(len(database[table]), dtype=np.int64)
    for number, column in enumerate(path):
        parents = database[table].parents(column)
        at = np.where(at >= 0, parents[at], -1) if len(parents) else at
        table = database[table].references[column]
        times = database[table].times
        if times is not None and len(times) and number < len(path) - 1:
            time = np.maximum(time, np.where(at >= 0, times[at], time))
    return at, time
