"""Who met which item when: the events that join a task's entities with its items along foreign keys, and their statistics.

An event is a row at the turn of a path: some keys up from it lead to the entity, others to the item. It is known from the
latest of the times along both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.protocol.method import Examples

from .histories import ALWAYS, DAY, windows_of
from .summaries import History, before

Rows = NDArray[np.int64]
LONGEST = 512
"""Most events of one entity that are looked at, the latest."""
MOST_PATHS = 4


class Path(NamedTuple):
    """Rows of `table`, from which the keys `to_entity` and `to_item` lead up."""

    table: str
    to_entity: tuple[str, ...]
    to_item: tuple[str, ...]


def paths_of(database: Database, entity: str, item: str) -> list[Path]:
    """Every path of at most two keys on either side, the shortest first; none that turns back where it came from."""
    found = []
    for name in database:
        for left in _ascents(database, name, entity):
            for right in _ascents(database, name, item):
                if left and right and left[0] != right[0]:
                    found.append(Path(name, left, right))
    return sorted(found, key=lambda path: (len(path.to_entity) + len(path.to_item), path))[:MOST_PATHS]


def _ascents(database: Database, table: str, goal: str, most: int = 2) -> list[tuple[str, ...]]:
    """Sequences of at most `most` foreign keys that lead from `table` up to `goal`."""
    if most == 0:
        return []
    found: list[tuple[str, ...]] = []
    for column, parent in database[table].references.items():
        if parent == goal:
            found.append((column,))
        else:
            found += [(column, *rest) for rest in _ascents(database, parent, goal, most - 1)]
    return found


class Events:
    """The events of one path, by entity and then by time."""

    def __init__(self, database: Database, path: Path, entities: int) -> None:
        times = database[path.table].times
        available = np.full(len(database[path.table]), ALWAYS) if times is None else times
        entity, late = _climb(database, path.table, path.to_entity)
        item, later = _climb(database, path.table, path.to_item)
        available = np.maximum(available, np.maximum(late, later))
        met = np.flatnonzero((entity >= 0) & (item >= 0))
        order = met[np.lexsort((available[met], entity[met]))]
        self.item, self.available = item[order], available[order]
        self.start = np.searchsorted(entity[order], np.arange(entities + 1)).astype(np.int64)

    def past(self, entity: Rows, cutoff: Rows) -> tuple[Rows, Rows, Rows]:
        """(question, item, time) of each question's latest events before its cut-off."""
        low, high = self.start[entity], self.start[entity + 1]
        end = before(self.available, low, high, cutoff)
        count = np.minimum(end - low, LONGEST)
        question = np.repeat(np.arange(len(entity)), count)
        place = end[question] - 1 - (np.arange(len(question)) - np.repeat(np.cumsum(count) - count, count))
        return question, self.item[place], self.available[place]


def _climb(database: Database, table: str, keys: tuple[str, ...]) -> tuple[Rows, Rows]:
    """For each row of `table`: the row that `keys` lead to (−1 for none) and the latest time of the rows passed over."""
    row = np.arange(len(database[table]))
    late = np.full(len(row), ALWAYS)
    for step, column in enumerate(keys):
        here = database[table]
        if step and here.times is not None and len(here):
            late = np.maximum(late, np.where(row >= 0, here.times[row.clip(0)], ALWAYS))
        parents = here.parents(column)
        row = np.where(row >= 0, parents[row.clip(0)], -1) if len(parents) else np.full(len(row), -1)
        table = here.references[column]
    return row, late


@dataclass(frozen=True)
class Pairs:
    """Items that questions have met: (pairs,) question, (pairs,) item, (pairs, features)."""

    question: Rows
    item: Rows
    features: NDArray[np.float32]


class Interactions:
    """Statistics of items, and of questions' past items, in one database."""

    def __init__(self, train: Examples, database: Database) -> None:
        task = train.task
        assert task.item_table is not None
        self.items = len(database[task.item_table])
        self.windows = windows_of(train)
        paths = paths_of(train.known, task.entity_table, task.item_table)
        self.events = [Events(database, path, len(database[task.entity_table])) for path in paths]
        self.popularity = [
            History.of(e.item, e.available, np.zeros((len(e.item), 0)), self.items, self.windows) for e in self.events
        ]
        self._seen: dict[int, NDArray[np.float32]] = {}

    @property
    def item_width(self) -> int:
        return 1 + sum(part.width for part in self.popularity)

    @property
    def pair_width(self) -> int:
        return len(self.events) * (3 + len(self.windows))

    def item_features(self, cutoff: int) -> NDArray[np.float32]:
        """(items, features) how often and how lately each item was met by anyone before `cutoff`."""
        if cutoff not in self._seen:
            if len(self._seen) > 512:
                self._seen.clear()
            everyone, when = np.arange(self.items), np.full(self.items, cutoff)
            parts = [part.read(everyone, when) for part in self.popularity]
            self._seen[cutoff] = np.concatenate([np.ones((self.items, 1)), *parts], axis=1).astype(np.float32)
        return self._seen[cutoff]

    def pairs(self, entity: Rows, cutoff: Rows) -> Pairs:
        """Every (question, item) met before the question's cut-off."""
        met = [events.past(entity, cutoff) for events in self.events]
        keys = [question * self.items + item for question, item, _ in met]
        every = np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
        features = []
        for key, (question, _, time) in zip(keys, met, strict=True):
            at = np.searchsorted(every, key)
            age = (cutoff[question] - time) / DAY
            latest = np.full(len(every), np.inf)
            np.minimum.at(latest, at, age)
            features += [np.log1p(np.bincount(at, minlength=len(every)))]
            features += [np.where(np.isinf(latest), -1.0, np.log1p(latest.clip(0)))]
            share = 1 / np.maximum(np.bincount(question, minlength=len(entity)), 1)
            features += [np.bincount(at, weights=share[question], minlength=len(every))]
            for window in self.windows:
                features += [np.log1p(np.bincount(at, weights=age * DAY <= window, minlength=len(every)))]
        shaped = np.stack(features, axis=1) if features else np.zeros((0, 0))
        return Pairs(every // self.items, every % self.items, shaped.astype(np.float32))
