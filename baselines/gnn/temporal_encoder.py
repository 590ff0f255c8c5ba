"""From the states of rows to those of nodes: how old a row is to the example that sees it is added, and a row that is not older
than the cut-off is taken without its ancestors.
"""

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
"""Nanoseconds."""
LOG_SCALE = 5


def age_features(days: NDArray[np.float32], span_days: float) -> NDArray[np.float32]:
    """(n, AGES) `log_age`, then exp(−age / scale) for six scales from `span_days` down, each a quarter of the one before."""
    scales = (span_days * 4.0 ** -np.arange(AGES - 1)).astype(np.float32)
    past = days.clip(min=0)[:, None]
    return np.concatenate([log_age(past), np.exp(-past / scales)], axis=1)


def log_age(days: NDArray[np.float32]) -> NDArray[np.float32]:
    """log(1 + days), divided so that ages of months are near 1."""
    return np.asarray(np.log1p(days) / LOG_SCALE)


class TemporalEncoder(nn.Module):
    """States of nodes from those of rows."""

    def __init__(self, tables: Iterable[str], channels: int) -> None:
        super().__init__()
        self.ages = nn.ModuleDict({module_name(table): nn.Linear(AGES, channels) for table in tables})

    def forward(self, batch: Batch, rows: RowStates) -> dict[str, Tensor]:
        """Table → (nodes, channels): the row with its ancestors, or alone where its parents are masked, plus its age."""
        states = {}
        for table, row in batch.row.items():
            state = rows.full[table].index_select(0, row)
            if table in batch.parents_masked:
                alone = rows.own[table].index_select(0, row)
                state = torch.where(batch.parents_masked[table], alone, state)
            if table in batch.age:
                state = state + self.ages[module_name(table)](batch.age[table])
            states[table] = state
        return states
