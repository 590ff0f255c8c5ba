"""Items by the inner product of an example's state with the item's vector, and by how popular they are lately.

An item's vector is made of its attributes and an embedding of its own. The latter is left out at random in training, so that an
item without history is served by its attributes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..gnn.batch import ItemBatch
from ..gnn.row_encoder import RowEncoder

ID_DROPOUT = 0.2
"""How often an item's own embedding is left out in training."""
NARROW = 16
"""Width of the encoding of popularity, which is made for every item at every cut-off."""


class ItemStates(NamedTuple):
    """(c, channels) item vectors, and (cut-offs, c, NARROW) encodings of their popularity."""

    item: Tensor
    popularity: Tensor


class ItemTower(nn.Module):
    """Items as vectors.

    Args:
        items: How many items have an embedding; later ones are read without.
        width: Of the features of popularity.
    """

    def __init__(self, encoder: RowEncoder, table: str, items: int, width: int, channels: int) -> None:
        super().__init__()
        self.encoder, self.table = encoder, table
        self.embedding = nn.Embedding(items, channels)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.popularity = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, NARROW), nn.ReLU())
        self.bias = nn.Linear(NARROW, 1)

    def forward(self, batch: ItemBatch) -> ItemStates:
        fresh = batch.candidates >= self.embedding.num_embeddings
        own = self.embedding(batch.candidates.masked_fill(fresh, 0)).masked_fill(fresh[:, None], 0.0)
        attributes = self.encoder(batch.rows).full[self.table][: len(batch.candidates)]
        popularity = self.popularity(batch.popularity)
        if self.training:
            own = own * (torch.rand(len(own), 1, device=own.device) > ID_DROPOUT)
        return ItemStates(attributes + own, popularity)

    def popularity_scores(self, states: ItemStates, batch: ItemBatch) -> Tensor:
        """(examples, c) scores that all examples of a cut-off share."""
        scores: Tensor = self.bias(states.popularity)[..., 0].index_select(0, batch.cutoff_index)
        return scores


def inner_products(state: Tensor, item: Tensor) -> Tensor:
    """(examples, c)."""
    products: Tensor = state @ item.T / state.shape[1] ** 0.5
    return products
