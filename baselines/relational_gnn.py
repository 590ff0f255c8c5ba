"""A graph neural network on the raw tables: rows are nodes, keys are edges, only rows older than the question are seen.

Heterogeneous GraphSAGE (Hamilton et al., 2017) or GATv2 (Brody et al., 2022) in the manner of relational deep learning
(Fey et al., 2024). Each distinct row of a batch is encoded once, its older parents included; how old a row is to the
question enters afterwards, at the nodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, HeteroConv, SAGEConv

from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.structure import Step

from ._rec import Recommending
from .dropout import Dropout
from .nodes import node_states
from .reader import AGES, DAY, Batch, EdgeBatch, Reader, Reading
from .rows import module_name, silent

Layer = Literal["sage", "gat"]
HEADS = 4
POOLED = (1, 2, 3)
"""The windows in which children are pooled, in lengths of the shortest: what lies between them is only nearly found."""


@dataclass(frozen=True)
class RelationalGNN(Recommending):
    """Attributes: layer: `sage` (mean of the neighbours) or `gat` (attention over them)."""

    layer: Layer = "sage"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer not in get_args(Layer):
            raise InputError(f"no layer {self.layer!r}; {nearest(self.layer, get_args(Layer))}")

    def trunk(self, reader: Reader, reading: Reading) -> nn.Module:
        steps = [list(hop) for hop in reader.fanouts(reading.graph)]
        return GraphNetwork(reader, steps, self.channels, self.layer, self.dropout)


def convolution(layer: Layer, channels: int) -> nn.Module:
    """One PyG layer from the neighbours over one kind of edge to their source."""
    # without a bias, which a node would get or not as other nodes of its batch have such neighbours or none has
    if layer == "gat":
        gat: nn.Module = GATv2Conv((channels, channels), channels // HEADS, HEADS, add_self_loops=False, bias=False)
        return gat
    sage: nn.Module = SAGEConv((channels, channels), channels, root_weight=False, bias=False)
    return sage


def _quiet(layers: dict[tuple[str, str, str], nn.Module]) -> nn.Module:
    """A `HeteroConv` without its warning that neighbours are not updated: messages here only go inwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        joined: nn.Module = HeteroConv(layers, aggr="sum")
        return joined


class Pools(nn.Module):
    """What a mean over all children hides: the latest of them, the greatest of each channel, the mean of those in a window.

    Several ways of pooling side by side tell multisets apart that one cannot (Corso et al., 2020). All start silent.

    Args:
        windows: Nanoseconds before the cut-off that means are taken over.
    """

    def __init__(self, channels: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.latest, self.greatest = silent(channels, channels), silent(channels, channels)
        self.within = nn.ModuleList(silent(channels, channels) for _ in windows)
        self.ends: Tensor
        # as the first of the ages is scaled
        self.register_buffer("ends", torch.log1p(torch.tensor(windows) / DAY) / 5, persistent=False)

    def forward(self, nodes: Tensor, ages: Tensor | None, edges: EdgeBatch) -> Tensor:
        """(sources, channels) from the targets' states, which are not negative; 0 for a source without any."""
        counts = edges.ends.diff()
        each = nodes.index_select(0, edges.target)
        greatest = torch.segment_reduce(each, "max", lengths=counts, axis=0, initial=0.0)
        last = each.index_select(0, (edges.ends[1:] - 1).clamp(min=0)) * (counts > 0)[:, None]
        told: Tensor = self.latest(last) + self.greatest(greatest)
        if ages is not None:
            young = (ages[:, :1] <= self.ends).to(each.dtype).index_select(0, edges.target)
            for window, layer in enumerate(self.within):
                inside = young[:, window : window + 1]
                total = torch.segment_reduce(each * inside, "sum", lengths=counts, axis=0, initial=0.0)
                count = torch.segment_reduce(inside, "sum", lengths=counts, axis=0, initial=0.0)
                told = told + layer(total / count.clamp(min=1))
        return told


class GraphNetwork(nn.Module):
    """Messages from the outermost hop inwards to the questions' entities."""

    def __init__(self, reader: Reader, steps: list[list[Step]], channels: int, layer: Layer, dropout: float) -> None:
        super().__init__()
        self.channels, self.layer = channels, layer
        layouts = reader.encoders.layouts
        self.encoder = reader.row_encoder(channels)
        self.ages = nn.ModuleDict({module_name(table): nn.Linear(AGES, channels) for table in layouts})
        self.hops = nn.ModuleList(_quiet({self._type(step): convolution(layer, channels) for step in hop}) for hop in steps)
        windows = [n * reader.histories.windows[0] for n in POOLED]
        self.pools = nn.ModuleDict(
            {
                f"{hop} {self._name(step)}": Pools(channels, windows)
                for hop, taken in enumerate(steps, 1)
                for step in taken
                if not step.up
            }
        )
        self.forget = Dropout(dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in steps)

    @staticmethod
    def _type(step: Step) -> tuple[str, str, str]:
        """PyG's edge type, messages going from the neighbour to the node that sampled it."""
        return step.target, f"{step.child}.{step.column}.{'down' if step.up else 'up'}", f"{step.source} asking"

    def _name(self, step: Step) -> str:
        return module_name(*self._type(step))

    def nodes(self, batch: Batch) -> dict[str, Tensor]:
        """Table → (nodes, channels) before any message: the row with its parents, and its age."""
        states = node_states(batch, self.encoder, self.ages)
        return {table: self.forget(torch.relu(state)) for table, state in states.items()}

    def forward(self, batch: Batch) -> Tensor:
        """(questions, channels)."""
        nodes = self.nodes(batch)
        for hop in range(len(self.hops), 0, -1):
            nodes = self._pass(nodes, batch.age, [e for e in batch.edges if e.hop == hop], hop)
        return nodes[batch.table].index_select(0, batch.seeds)

    def _pass(
        self, nodes: dict[str, Tensor], ages: dict[str, Tensor], edges: list[EdgeBatch], hop: int
    ) -> dict[str, Tensor]:
        reached = {e.step.source: (e.first, e.first + len(e.ends) - 1) for e in edges if len(e.ends) > 1}
        own = {f"{table} asking": nodes[table][a:b] for table, (a, b) in reached.items()}
        links = {self._type(e.step): self._link(e, len(nodes[e.step.target])) for e in edges if len(e.target)}
        found = self.hops[hop - 1]({**nodes, **own}, links) if links else {}
        for e in edges:
            if not e.step.up and len(e.target):
                asking = f"{e.step.source} asking"
                pools = self.pools[f"{hop} {self._name(e.step)}"]
                found[asking] = found[asking] + pools(nodes[e.step.target], ages.get(e.step.target), e)
        for table, (a, b) in reached.items():
            before = nodes[table]
            # nodes without neighbours are normed like all others, so that no answer depends on its batch
            told = torch.relu(self.norms[hop - 1](before[a:b] + found.get(f"{table} asking", 0.0)))
            nodes = {**nodes, table: torch.cat([before[:a], told, before[b:]])}
        return nodes

    def _link(self, edges: EdgeBatch, targets: int) -> Tensor:
        size = len(edges.ends) - 1
        if self.layer == "gat" or edges.target.is_cuda:
            source = torch.repeat_interleave(torch.arange(size, device=edges.ends.device), edges.ends.diff())
            return torch.stack([edges.target, source])
        # a compressed matrix lets PyG gather and average in one pass
        ones = torch.ones(len(edges.target), device=edges.target.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(edges.ends, edges.target, ones, (size, targets), check_invariants=False)
