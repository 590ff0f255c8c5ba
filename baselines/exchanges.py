"""What networks are told of items, and of the items that a question met before: counts and recency, as of any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.graph.structure import grouped
from relbench_harness.protocol.method import Examples

from .histories import DAY, windows_of
from .interactions import Events, events, trails
from .summaries import History, earlier

Rows = NDArray[np.int64]
LONGEST = 512
"""Most events of one entity that are looked at, the latest."""


class ByEntity:
    """Events by entity and then by time."""

    def __init__(self, found: Events, entities: int) -> None:
        self.start, order = grouped(found.entity, entities)
        self.item, self.time = found.item[order], found.time[order]

    def past(self, entity: Rows, cutoff: Rows) -> tuple[Rows, Rows, Rows]:
        """(question, item, time) of each question's latest events before its cut-off."""
        low, end = earlier(self.time, self.start, entity, cutoff)
        count = np.minimum(end - low, LONGEST)
        question = np.repeat(np.arange(len(entity)), count)
        place = end[question] - 1 - (np.arange(len(question)) - np.repeat(np.cumsum(count) - count, count))
        return question, self.item[place], self.time[place]


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
        entities = len(database[task.entity_table])
        self.events = [ByEntity(events(database, trail), entities) for trail in trails(train.known, task)]
        self.popularity = [
            History.of(e.item, e.time, np.zeros((len(e.item), 0)), self.items, self.windows) for e in self.events
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
        # several threads read at once: what another forgets in between is still held here
        known = self._seen.get(cutoff)
        if known is None:
            if len(self._seen) > 512:
                self._seen.clear()
            everyone, when = np.arange(self.items), np.full(self.items, cutoff)
            parts = [part.read(everyone, when) for part in self.popularity]
            known = np.concatenate([np.ones((self.items, 1)), *parts], axis=1).astype(np.float32)
            self._seen[cutoff] = known
        return known

    def pairs(self, entity: Rows, cutoff: Rows) -> Pairs:
        """Every (question, item) met before the question's cut-off."""
        met = [those.past(entity, cutoff) for those in self.events]
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
