"""What a row is to the question that sees it: its own encoding with its older parents', and how old it is by then."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .reader import Batch
from .rows import RowEncoder, module_name


def node_states(batch: Batch, encoder: RowEncoder, ages: nn.ModuleDict) -> dict[str, Tensor]:
    """Table → (nodes, channels) before any node hears of another; a node whose parents are not yet visible stands alone."""
    own, full = encoder(batch.content)
    states = {}
    for table, row in batch.row.items():
        state = full[table].index_select(0, row)
        if table in batch.bare:
            state = torch.where(batch.bare[table], own[table].index_select(0, row), state)
        if table in batch.age:
            state = state + ages[module_name(table)](batch.age[table])
        states[table] = state
    return states
