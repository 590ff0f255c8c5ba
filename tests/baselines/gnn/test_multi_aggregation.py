"""Aggregations of children equal those that a loop over receivers makes, with their gradients."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench_harness.baselines.gnn.multi_aggregation import MultiAggregation
from relbench_harness.baselines.gnn.temporal_encoder import LOG_SCALE
from torch import Tensor

from relbench_harness.graph.row_batch import EdgeBatch

WINDOWS = (1.0, 5.0, 20.0)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), st.integers(0, 10**6))
def test_it_is_a_loop_over_receivers(counts: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    layer = MultiAggregation(3, WINDOWS).double()
    for weight in layer.parameters():
        torch.nn.init.normal_(weight)
    days = torch.rand(7, 1, dtype=torch.float64) * 25
    nodes = torch.rand(7, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 7, (sum(counts),))
    ends = torch.tensor([0, *counts]).cumsum(0)
    edges = EdgeBatch(None, 1, 0, ends, target)  # type: ignore[arg-type]
    made = layer(nodes, torch.log1p(days) / LOG_SCALE, edges)
    expected = torch.stack([one(layer, nodes, days[:, 0], target[a:b]) for a, b in pairwise(ends)])
    torch.testing.assert_close(made, expected)
    ours, loop = (torch.autograd.grad(x.square().sum(), nodes)[0] for x in (made, expected))
    torch.testing.assert_close(ours, loop)


def one(layer: MultiAggregation, nodes: Tensor, days: Tensor, children: Tensor) -> Tensor:
    """What a receiver with these children gets."""
    nothing = torch.zeros(3, dtype=nodes.dtype) + 0 * nodes.sum()
    if not len(children):
        return nothing
    total = layer.last(nodes[children[-1]]) + layer.max(nodes[children].max(0).values)
    for window, mean in zip(WINDOWS, layer.windowed_means, strict=True):
        inside = children[days[children] <= window]
        total = total + (mean(nodes[inside].mean(0)) if len(inside) else nothing)
    return total
