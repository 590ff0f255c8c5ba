"""Scores of the items that an example interacted with before, from how often and how lately, in the light of its state.

Identity-aware (You et al., 2021): what the example itself did with the item counts, not only what the item is.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..gnn.batch import ItemBatch
from .two_tower import NARROW, ItemStates


class PastItemScores(nn.Module):
    """Args: width: Of the features of past items."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.popularity = nn.Linear(NARROW, channels, bias=False)
        self.context = nn.Linear(channels, channels)
        self.past = nn.Linear(width, channels)
        self.score = nn.Sequential(nn.ReLU(), nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 1))

    def forward(self, state: Tensor, items: ItemStates, batch: ItemBatch) -> Tensor:
        """(pairs,) scores of the past items."""
        popularity = items.popularity[batch.cutoff_index[batch.past_example], batch.past_place]
        context = self.context(state).index_select(0, batch.past_example)
        item = items.item.index_select(0, batch.past_place)
        scores: Tensor = self.score(self.past(batch.past) + context + self.popularity(popularity) + item)[:, 0]
        return scores
