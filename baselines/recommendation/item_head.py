"""The ranking of items as a head: two towers and scores of past items, together in the line of ContextGNN (Yuan et al., 2024)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..gnn.batch import Batch, ItemBatch
from ..gnn.row_encoder import RowEncoder
from .id_gnn import PastItemScores
from .item_batches import ItemReader
from .two_tower import ItemTower, inner_products

ItemScores = Literal["both", "two_tower", "id_gnn"]


class ItemHead(nn.Module):
    """Scores every candidate of a batch.

    Args:
        encoder: Reads the items' rows; it is this head's own.
        k: How many items are recommended.
    """

    def __init__(self, encoder: RowEncoder, reader: ItemReader, k: int, channels: int, scores: ItemScores) -> None:
        super().__init__()
        self.k, self.scores = k, scores
        self.tower = ItemTower(encoder, reader.table, reader.count, reader.features.item_width, channels)
        self.past = PastItemScores(reader.features.past_width, channels)

    def forward(self, state: Tensor, batch: Batch) -> Tensor:
        """(examples, candidates) scores; −∞ of items that are not there yet."""
        items = _items(batch)
        states = self.tower(items)
        scores = self.tower.popularity_scores(states, items)
        if self.scores != "id_gnn":
            scores = scores + inner_products(state, states.item)
        if self.scores != "two_tower" and len(items.past_example):
            past = self.past(state, states, items).to(scores.dtype)
            place = items.past_example * scores.shape[1] + items.past_place
            scores = scores.reshape(-1).index_add(0, place, past).view_as(scores)
        found: Tensor = scores.masked_fill(items.unavailable.index_select(0, items.cutoff_index), -torch.inf)
        return found

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of each example's true items against all candidates."""
        items = _items(batch)
        chance = torch.log_softmax(output.float(), dim=1)
        found = chance[items.true_example, items.true_place]
        count = torch.bincount(items.true_example, minlength=len(output)).clamp(min=1)
        return -(found / count[items.true_example]).sum() / len(output)

    def decode(self, output: Tensor) -> NDArray[np.int64]:
        """(n, k) the best items from scores of all of them; −1 where they are fewer than k."""
        top = output.topk(min(self.k, output.shape[1]), dim=1)
        items = torch.where(top.values.isfinite(), top.indices, -1).numpy()
        return np.pad(items, ((0, 0), (0, self.k - items.shape[1])), constant_values=-1)

    def empty(self) -> NDArray[np.int64]:
        return np.zeros((0, self.k), np.int64)


def _items(batch: Batch) -> ItemBatch:
    if batch.items is None:
        raise ValueError("items are scored in the batches of a recommendation task")
    return batch.items
