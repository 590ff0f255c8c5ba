"""GraphSAGE (Hamilton et al., 2017) and GATv2 (Brody et al., 2022) over the sampled neighbourhood, from its last hop to the entities.

Each hop has one PyG convolution per edge type, in the manner of relational deep learning (Fey et al., 2024). Sampling goes from
`step.source` to `step.target`, messages go back: a sampled target is the sender, the source that sampled it the receiver. Each
node is updated once, by ReLU(LayerNorm(its state + what it received)).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, HeteroConv, SAGEConv

from relbench_harness.graph.row_batch import EdgeBatch
from relbench_harness.graph.structure import EdgeType, Step

from .batch import Batch
from .layers import Dropout, module_name
from .multi_aggregation import MultiAggregation

Convolution = Literal["sage", "gat"]
GAT_HEADS = 4
"""Attention heads of a GATv2 convolution."""


def convolution(kind: Convolution, channels: int) -> nn.Module:
    """One PyG layer from the neighbours over one edge type to the nodes that sampled them."""
    # no bias: it is added only where some node of the batch has such an edge, so predictions would depend on the batch
    if kind == "gat":
        gat: nn.Module = GATv2Conv((channels, channels), channels // GAT_HEADS, GAT_HEADS, add_self_loops=False, bias=False)
        return gat
    sage: nn.Module = SAGEConv((channels, channels), channels, root_weight=False, bias=False)
    return sage


@dataclass(frozen=True)
class MessagePassingConfig:
    """Attributes:
    kind: `sage` or `gat`.
    channels: Width of every state.
    dropout: Of the states before the first message. `channels` is a multiple of `GAT_HEADS` for `gat`.
    windows: Days of the windows of `MultiAggregation`; None leaves it out.
    """

    kind: Convolution
    channels: int
    dropout: float
    windows: Sequence[float] | None


class MessagePassing(nn.Module):
    """A backbone: messages from the outermost hop inwards to the examples' entities.

    Args:
        steps: Per hop, the steps along which neighbours are sampled.
    """

    def __init__(self, steps: Sequence[Sequence[Step]], config: MessagePassingConfig) -> None:
        super().__init__()
        kind, channels = config.kind, config.channels
        # a kept model makes layers of PyG again rather than to look into them
        self.made_from = (steps, config)
        self.kind = kind
        self.hops = nn.ModuleList(_hetero({_type(step): convolution(kind, channels) for step in hop}) for hop in steps)
        children = [(hop, step) for hop, taken in enumerate(steps, 1) for step in taken if not step.up]
        self.aggregations = nn.ModuleDict(
            {_name(hop, step): MultiAggregation(channels, config.windows) for hop, step in children}
            if config.windows is not None
            else {}
        )
        self.dropout = Dropout(config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in steps)

    def forward(self, batch: Batch, states: dict[str, Tensor]) -> Tensor:
        """(examples, channels)."""
        nodes = {table: self.dropout(torch.relu(state)) for table, state in states.items()}
        for hop in range(len(self.hops), 0, -1):
            nodes = self._hop(nodes, batch.age, [e for e in batch.edges if e.hop == hop], hop)
        read: Tensor = nodes[batch.table].index_select(0, batch.entity_node)
        return read

    def _hop(
        self, nodes: dict[str, Tensor], ages: dict[str, Tensor], edges: list[EdgeBatch], hop: int
    ) -> dict[str, Tensor]:
        """The states after the nodes that sampled `edges` have got their messages.

        Edges of a hop that were sampled from one table share the range of nodes that sampled them.
        """
        receivers = {e.step.source: (e.first, e.first + len(e.ends) - 1) for e in edges if len(e.ends) > 1}
        own = {_receiver(table): nodes[table][a:b] for table, (a, b) in receivers.items()}
        adjacency = {_type(e.step): self._adjacency(e, len(nodes[e.step.target])) for e in edges if len(e.target)}
        received = self.hops[hop - 1]({**nodes, **own}, adjacency) if adjacency else {}
        for e in edges:
            name, to = _name(hop, e.step), _receiver(e.step.source)
            if len(e.target) and name in self.aggregations:
                further = self.aggregations[name](nodes[e.step.target], ages.get(e.step.target), e)
                received[to] = received[to] + further
        for table, (a, b) in receivers.items():
            before = nodes[table]
            # nodes without neighbours are normalised like all others, so that no prediction depends on its batch
            after = torch.relu(self.norms[hop - 1](before[a:b] + received.get(_receiver(table), 0.0)))
            nodes = {**nodes, table: torch.cat([before[:a], after, before[b:]])}
        return nodes

    def _adjacency(self, edges: EdgeBatch, targets: int) -> Tensor:
        """The edges as PyG takes them: senders first, receivers second; or compressed by receiver."""
        receivers = len(edges.ends) - 1
        if self.kind == "gat" or edges.target.is_cuda:
            receiver = torch.repeat_interleave(torch.arange(receivers, device=edges.ends.device), edges.ends.diff())
            return torch.stack([edges.target, receiver])
        # a compressed matrix lets PyG gather and average in one pass
        ones = torch.ones(len(edges.target), device=edges.target.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(edges.ends, edges.target, ones, (receivers, targets), check_invariants=False)


def _receiver(table: str) -> str:
    """The nodes of `table` that get messages in a hop, as a node type of their own."""
    return f"{table} receiving"


def _type(step: Step) -> EdgeType:
    source, relation, target = step.message_type
    return source, relation, _receiver(target)


def _name(hop: int, step: Step) -> str:
    return f"{hop} {module_name(*_type(step))}"


def _hetero(layers: dict[EdgeType, nn.Module]) -> nn.Module:
    """A `HeteroConv` without its warning that some nodes are not updated: messages go inwards only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        joined: nn.Module = HeteroConv(layers, aggr="sum")
        return joined
