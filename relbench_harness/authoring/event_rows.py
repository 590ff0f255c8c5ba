"""Rows with a time that belong to entities by foreign keys: how often they come, and what they say of windows of time.

What is computed here ranks predictive queries that a schema offers; labels themselves are made by SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from relbench.manifest import TableSpec

from relbench_harness.authoring.joins import Path, Step, upward
from relbench_harness.authoring.predictive_query import Column, said
from relbench_harness.data.database import Database
from relbench_harness.data.labels import Cuts
from relbench_harness.data.table import Table

DAY = 86_400_000_000_000
LENGTHS = tuple(DAY * n // 24 for n in (1, 3, 6, 12)) + tuple(
    DAY * n for n in (1, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1825)
)
"""Lengths of windows that people speak of, in nanoseconds."""
SAMPLED = 6
"""Cut-offs of training at which labels are estimated."""
FEWEST_WINDOWS, MOST_WINDOWS = 4, 400
"""Training windows that must fit before validation, and that are enough."""


class Window(NamedTuple):
    """A window of labels and the activity before it, both in nanoseconds."""

    length: int
    before: int

    @property
    def shown(self) -> str:
        """`30 days`."""
        number, unit = spoken(self.length)
        return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def spoken(length: int) -> tuple[int, str]:
    """A length as a number of days, or of hours where it is no whole day."""
    return (length // DAY, "days") if length % DAY == 0 else (length * 24 // DAY, "hours")


class Sample(NamedTuple):
    """What is there at one cut-off.

    Attributes:
        future: The rows of the window behind the cut-off.
        active: (m,) entities that the label is about.
    """

    future: slice
    active: NDArray[np.int64]


@dataclass(frozen=True)
class EventRows:
    """The rows of a timed table that belong to rows of another by one path of foreign keys.

    Attributes:
        telling: The foreign key by which a query tells the path from others that lead there, too; None where there are none.
        row, entity, time: (n,) row number of the event, of its entity, and the event's nanoseconds, ascending in time.
    """

    table: Table
    entities: Table
    path: Path
    telling: Step | None
    row: NDArray[np.int64]
    entity: NDArray[np.int64]
    time: NDArray[np.int64]

    @property
    def via(self) -> str:
        """What stands in an aggregate behind its value."""
        return "" if self.telling is None else f" VIA {said(Column(self.telling.child, self.telling.column, 1))}"

    @property
    def key(self) -> str:
        """The entity as a query names it."""
        return said(Column(self.entities.name, self.entities.key, 1))

    @cached_property
    def gaps(self) -> NDArray[np.int64]:
        """Nanoseconds from each event of an entity to its next at another time, of at most 200,000 events."""
        order = np.lexsort((self.time, self.entity))
        entity, time = self.entity[order], self.time[order]
        gaps = np.diff(time)[np.diff(entity) == 0]
        gaps = gaps[gaps > 0]
        return np.asarray(gaps[:: max(1, len(gaps) // 200_000)], dtype=np.int64)

    @cached_property
    def delays(self) -> NDArray[np.int64]:
        """Nanoseconds from an entity's own time to its first event; none where entities have no time."""
        if self.entities.times is None:
            return np.zeros(0, np.int64)
        known = self.first < np.iinfo(np.int64).max
        return np.asarray(self.first[known] - self.entities.times[known], dtype=np.int64)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """(entities,) the time of the first event of each, the largest integer where there is none."""
        first = np.full(len(self.entities), np.iinfo(np.int64).max)
        np.minimum.at(first, self.entity, self.time)
        return first

    @cached_property
    def recurs(self) -> bool:
        """Whether events come again: a tenth of the entities that have any have some at several times."""
        last = np.full(len(self.entities), np.iinfo(np.int64).min)
        np.maximum.at(last, self.entity, self.time)
        some = self.first < np.iinfo(np.int64).max
        return bool(some.any() and (last[some] > self.first[some]).mean() >= 0.1)

    def windows(self, cuts: Cuts, end: int) -> list[Window]:
        """The shortest window in which half of the gaps (or delays) end, and two longer ones, as far as they fit."""
        typical = self.gaps if self.recurs else self.delays
        if not len(typical) or not len(self.time):
            return []
        val, test = cuts.val.value, cuts.test.value
        longest = min(test - val, end - test, (val - int(self.time[0])) // FEWEST_WINDOWS)
        shortest = (val - int(self.time[0])) // MOST_WINDOWS
        fitting = [n for n in LENGTHS if shortest <= n <= longest]
        chosen = [n for n in fitting if n >= np.median(typical)][:3]
        return [Window(n, next((b for b in LENGTHS if b >= 2 * n), 2 * n)) for n in chosen or fitting[-1:]]

    def samples(self, window: Window, cuts: Cuts, once: bool) -> Iterator[Sample]:
        """The active entities at some cut-offs of training.

        Args:
            once: Whether the label is about entities that came to be in the time before and have no event yet, in place of those
                that had one.
        """
        val = cuts.val.value
        count = int((val - int(self.time[0])) // window.length)
        steps = np.unique(np.linspace(1, max(count - 1, 1), SAMPLED).astype(int))
        for step in steps:
            at = val - int(step) * window.length
            low, here, high = np.searchsorted(self.time, [at - window.before, at, at + window.length], side="right")
            born = self.entities.times
            if once and born is not None:
                active = np.flatnonzero((born > at - window.before) & (born <= at) & (self.first > at))
            else:
                active = np.unique(self.entity[low:here])
                active = active if born is None else active[born[active] <= at]
            yield Sample(slice(int(here), int(high)), active)

    def training_windows(self, window: Window, cuts: Cuts) -> int:
        return int((cuts.val.value - int(self.time[0])) // window.length)

    def values(self, column: str) -> pa.ChunkedArray:
        """The column's values, event by event."""
        return self.table.rows.column(column).take(pa.array(self.row))


def event_rows(database: Database, specs: Mapping[str, TableSpec]) -> Iterator[EventRows]:
    """Every timed table with every table of entities above it, by paths of one foreign key, or of two where none of one is.

    Of several paths each is named by a foreign key that no other goes by, and left out where it has none. A table above itself is left
    out: an aggregate over the entity's own table counts the row itself, not those that refer to it.
    """
    for table in database.values():
        if table.times is None or not len(table):
            continue
        for entities in database.values():
            if entities is table or entities.key is None or not len(entities):
                continue
            paths = upward(specs, table.name, entities.name)
            nearest = min(map(len, paths), default=0)
            for path in paths:
                others = {step for other in paths if other != path for step in other}
                telling = next((step for step in path if step not in others), None)
                if len(path) == nearest <= 2 and (len(paths) == 1 or telling is not None):
                    yield _along(table, entities, path, None if len(paths) == 1 else telling, database)


def _along(table: Table, entities: Table, path: Path, telling: Step | None, database: Database) -> EventRows:
    rows = np.arange(len(table))
    for step in path:
        parents = database[step.child].parents(step.column)
        rows = np.where(rows >= 0, parents[np.maximum(rows, 0)], -1) if len(parents) else np.full(len(rows), -1)
    kept = np.flatnonzero(rows >= 0)
    assert table.times is not None  # whoever calls has looked
    return EventRows(table, entities, path, telling, kept, rows[kept].astype(np.int64), table.times[kept])
