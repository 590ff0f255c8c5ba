"""How old a row is to the example that sees it, added to the row's state: the same row differs by the cut-off only here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .batch import Batch
from .layers import module_name
from .row_encoder import RowStates

AGES = 7
"""How many numbers describe an age."""
DAY = 86_400e9


def age_features(days: NDArray[np.float32], span: float) -> NDArray[np.float32]:
    """(n, AGES) the logarithm of an age and its decay at scales from `span` nanoseconds down, each a quarter of the last."""
    scales = (span / DAY * 4.0 ** -np.arange(AGES - 1)).astype(np.float32)
    past = days.clip(min=0)[:, None]
    return np.concatenate([log_age(past), np.exp(-past / scales)], axis=1)


def log_age(days: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ages on the scale of the first of the `age_features`."""
    return np.asarray(np.log1p(days) / 5)


class TemporalEncoder(nn.Module):
    """States of nodes from those of rows."""

    def __init__(self, tables: Iterable[str], channels: int) -> None:
        super().__init__()
        self.ages = nn.ModuleDict({module_name(table): nn.Linear(AGES, channels) for table in tables})

    def forward(self, batch: Batch, rows: RowStates) -> dict[str, Tensor]:
        """Table → (nodes, channels): the row with its ancestors, or alone where they may be hidden, and its age."""
        states = {}
        for table, row in batch.row.items():
            state = rows.full[table].index_select(0, row)
            if table in batch.parents_hidden:
                alone = rows.own[table].index_select(0, row)
                state = torch.where(batch.parents_hidden[table], alone, state)
            if table in batch.age:
                state = state + self.ages[module_name(table)](batch.age[table])
            states[table] = state
        return states
