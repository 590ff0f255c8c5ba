"""Reads the items that the examples of a batch are scored against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from relbench_harness.data.distinct import distinct
from relbench_harness.features.item_features import ItemFeatures, Rows
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.visibility import visible

from ..gnn.batch import ItemBatch
from ..gnn.batch_builder import BatchBuilder

MOST_CANDIDATES = 8192
"""Items scored against each other in one training batch: all where there are no more, else a random part."""


class ItemReader:
    """The items of one database.

    Attributes:
        table: The items' table.
        count: How many items there are.
    """

    def __init__(self, builder: BatchBuilder, train: Examples) -> None:
        assert train.task.item_table is not None
        self.table = train.task.item_table
        self.features = ItemFeatures(train, builder.database)
        self._rows = builder.rows
        self._items = builder.database[self.table]
        self.count = len(self._items)

    def read(self, examples: Examples, seed: Sequence[int] | None = None) -> ItemBatch:
        """All items; or where they are many and a `seed` is given, a random part of them with the true and the past ones."""
        past = self.features.past(examples.entity, examples.cutoff)
        example, item = _positives(examples)
        there = visible(self._items, item, examples.cutoff[example])
        example, item = example[there], item[there]
        chosen = np.arange(self.count)
        if seed is not None and self.count > MOST_CANDIDATES:
            drawn = np.random.default_rng(list(seed)).choice(self.count, MOST_CANDIDATES, replace=False)
            chosen = distinct(np.concatenate([drawn, item, past.item]))
        cutoffs, group = np.unique(examples.cutoff, return_inverse=True)
        popularity = np.stack([self.features.popularity(int(c))[chosen] for c in cutoffs])
        unavailable = np.stack([~visible(self._items, chosen, int(c)) for c in cutoffs])
        return ItemBatch(
            candidates=torch.from_numpy(chosen),
            rows=self._rows.read({self.table: chosen}),
            cutoff_index=torch.from_numpy(group),
            popularity=torch.from_numpy(popularity),
            unavailable=torch.from_numpy(unavailable),
            past_example=torch.from_numpy(past.example),
            past_place=torch.from_numpy(np.searchsorted(chosen, past.item)),
            past=torch.from_numpy(past.features),
            true_example=torch.from_numpy(example),
            true_place=torch.from_numpy(np.searchsorted(chosen, item)),
        )


def _positives(examples: Examples) -> tuple[Rows, Rows]:
    """(positives,) example and item; none where the labels are unknown."""
    if examples.labels is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lists = examples.lists
    return np.repeat(np.arange(len(examples)), np.diff(lists.offsets)), lists.values
