"""Aggregations of a row's children beside the convolution's own: the last, the maximum, and means over recent windows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from relbench_harness.graph.row_batch import EdgeBatch

from .layers import zero_initialised
from .temporal_encoder import LOG_SCALE


class MultiAggregation(nn.Module):
    """Several aggregations side by side tell multisets apart that one cannot (Corso et al., 2020). All start at zero.

    Args:
        windows: Days before the cut-off over which means are taken.
    """

    def __init__(self, channels: int, windows: Sequence[float]) -> None:
        super().__init__()
        self.last, self.max = zero_initialised(channels, channels), zero_initialised(channels, channels)
        self.windowed_means = nn.ModuleList(zero_initialised(channels, channels) for _ in windows)
        self.limits: Tensor
        self.register_buffer("limits", torch.log1p(torch.tensor(windows)) / LOG_SCALE, persistent=False)

    def forward(self, nodes: Tensor, ages: Tensor | None, edges: EdgeBatch) -> Tensor:
        """(receivers, channels); 0 for a receiver without children.

        Args:
            nodes: (nodes, channels) states of the children's table, not negative.
            ages: (nodes, AGES), the first of which is `log_age`.
            edges: At least one, from receivers to children; those of one receiver are in time order.
        """
        counts = edges.ends.diff()
        maximum = embedding_bag(edges.target, nodes, edges.ends, mode="max", include_last_offset=True)
        newest = edges.target.index_select(0, (edges.ends[1:] - 1).clamp(min=0))
        last = nodes.index_select(0, newest) * (counts > 0)[:, None]
        total: Tensor = self.last(last) + self.max(maximum)
        if ages is not None:
            recent = (ages[:, :1] <= self.limits).index_select(0, edges.target)
            for window, layer in enumerate(self.windowed_means):
                inside = recent[:, window]
                ends = nn.functional.pad(inside.cumsum(0), (1, 0)).index_select(0, edges.ends)
                mean = embedding_bag(edges.target[inside], nodes, ends, mode="mean", include_last_offset=True)
                total = total + layer(mean)
        return total
