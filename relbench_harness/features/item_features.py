"""How often and how lately items were met, by anyone and by the example's own entity, as of any time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.distinct import distinct
from relbench_harness.features.entity_summary import DAY, windows_of
from relbench_harness.features.history_summary import HistorySummary
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.interactions import InteractionIndex, PastInteractions, interaction_paths, interactions

Rows = NDArray[np.int64]
MOST_PAST = 512
"""Most interactions of one entity that are looked at, the latest."""
MOST_KEPT = 512
"""For how many cut-offs the popularity of items is kept."""


class PastItems(NamedTuple):
    """(pairs,) example and item, each pair once, and (pairs, features)."""

    example: Rows
    item: Rows
    features: NDArray[np.float32]


class ItemFeatures:
    """Statistics of items, and of examples' past items, in one database."""

    def __init__(self, train: Examples, database: Database) -> None:
        task = train.task
        assert task.item_table is not None
        self.items = len(database[task.item_table])
        self.windows = windows_of(train)
        paths = interaction_paths(train.known, task.entity_table, task.item_table)
        found = [interactions(database, path) for path in paths]
        self._past = [InteractionIndex(one, len(database[task.entity_table])) for one in found]
        self._popularity = []
        for one in found:
            history = History.of(one.item, one.time, self.items)
            self._popularity.append(HistorySummary(history, history.totals(iter(()), 0), self.windows))
        self._known: dict[int, NDArray[np.float32]] = {}

    @property
    def item_width(self) -> int:
        return 1 + sum(part.width for part in self._popularity)

    @property
    def past_width(self) -> int:
        return len(self._past) * (3 + len(self.windows))

    def popularity(self, cutoff: int) -> NDArray[np.float32]:
        """(items, features) how often and how lately each item was met by anyone before `cutoff`."""
        # several threads read at once: what another drops in between is still held here
        known = self._known.get(cutoff)
        if known is None:
            if len(self._known) > MOST_KEPT:
                self._known.clear()
            every, when = np.arange(self.items), np.full(self.items, cutoff)
            parts = [part.read(every, when) for part in self._popularity]
            known = np.concatenate([np.ones((self.items, 1)), *parts], axis=1).astype(np.float32)
            self._known[cutoff] = known
        return known

    def past(self, entity: Rows, cutoff: Rows) -> PastItems:
        """Every (example, item) of an interaction before the example's cut-off."""
        found = [index.past(entity, cutoff, MOST_PAST) for index in self._past]
        keys = [one.example * self.items + one.item for one in found]
        every = distinct(np.concatenate([np.empty(0, np.int64), *keys]))
        features = []
        for key, one in zip(keys, found, strict=True):
            features += self._of_path(np.searchsorted(every, key), len(every), one, cutoff)
        shaped = np.stack(features, axis=1) if features else np.zeros((0, 0))
        return PastItems(every // self.items, every % self.items, shaped.astype(np.float32))

    def _of_path(self, at: Rows, pairs: int, found: PastInteractions, cutoff: Rows) -> list[NDArray[np.float64]]:
        """(pairs,) how often, how lately, as what share of the example's, and how often in each window."""
        age = (cutoff[found.example] - found.time) / DAY
        latest = np.full(pairs, np.inf)
        np.minimum.at(latest, at, age)
        share = 1 / np.maximum(np.bincount(found.example, minlength=len(cutoff)), 1)
        counts = [np.log1p(np.bincount(at, weights=age * DAY <= window, minlength=pairs)) for window in self.windows]
        return [
            np.log1p(np.bincount(at, minlength=pairs)),
            np.where(np.isinf(latest), -1.0, np.log1p(latest.clip(0))),
            np.bincount(at, weights=share[found.example], minlength=pairs),
            *counts,
        ]
