"""Attention over the rows around an example: every sampled row is a token that knows what, where and how old it is.

In the line of RelGT (Dwivedi et al., 2025) and the Relational Transformer (Ranjan et al., 2025). A token is a node's state plus
encodings of the hop and key over which it was reached (which tells children from parents) and of its rank among its siblings.
The tokens of an example attend to each other; its entity's token is the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from relbench_harness.graph.row_batch import EdgeBatch
from relbench_harness.graph.structure import Step

from .batch import Batch


@dataclass(frozen=True)
class TransformerConfig:
    """Attributes:
    layers, heads: Of attention.
    max_tokens: Most rows an example reads. Rows of nearer hops are kept first; within a hop those of one edge type after the other.
    ranks: Most neighbours of one node over one key.
    """

    channels: int
    layers: int
    heads: int
    dropout: float
    max_tokens: int
    ranks: int


class Tokens(NamedTuple):
    """(tokens, channels) states and (tokens,) which example each belongs to."""

    state: Tensor
    example: Tensor


class Reached(NamedTuple):
    """(n,) nodes, which example each belongs to, and its rank among its siblings, 0 being the latest."""

    node: Tensor
    example: Tensor
    rank: Tensor


class Transformer(nn.Module):
    """A backbone: tokens of each example, then attention among them.

    Args:
        steps: Per hop, the steps along which neighbours are sampled.
    """

    def __init__(self, steps: Sequence[Sequence[Step]], config: TransformerConfig) -> None:
        super().__init__()
        channels = config.channels
        # a kept model makes the layers of attention again rather than to look into them
        self.made_from = (steps, config)
        self.max_tokens = config.max_tokens
        every = [(hop, step) for hop, taken in enumerate(steps, 1) for step in taken]
        # 0 is the entity itself
        self.relation = {key: number for number, key in enumerate(every, 1)}
        self.relation_embedding = nn.Embedding(1 + len(self.relation), channels)
        self.rank_embedding = nn.Embedding(config.ranks, channels)
        layer = nn.TransformerEncoderLayer(
            channels, config.heads, 2 * channels, dropout=config.dropout, batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, batch: Batch, states: dict[str, Tensor]) -> Tensor:
        """(examples, channels)."""
        every_example = torch.arange(len(batch.entity_node), device=batch.entity_node.device)
        tokens = [
            Tokens(
                states[batch.table].index_select(0, batch.entity_node) + self.relation_embedding.weight[0], every_example
            )
        ]
        # table → the nodes of the hop before, each with the example that it belongs to
        previous = {batch.table: [(batch.entity_node, every_example)]}
        for hop in range(1, 1 + max((e.hop for e in batch.edges), default=0)):
            found: dict[str, list[tuple[Tensor, Tensor]]] = {}
            for edges in (e for e in batch.edges if e.hop == hop and e.step.source in previous and len(e.target)):
                nodes, examples = (torch.cat(part) for part in zip(*previous[edges.step.source], strict=True))
                reached = _neighbours(edges, nodes, examples)
                tokens.append(self._tokens(edges, states[edges.step.target], reached))
                found.setdefault(edges.step.target, []).append((reached.node, reached.example))
            previous = found
        packed, empty = self._packed(tokens, len(batch.entity_node))
        read: Tensor = self.attention(packed, src_key_padding_mask=empty)[:, 0]
        return read

    def _tokens(self, edges: EdgeBatch, states: Tensor, reached: Reached) -> Tokens:
        relation = self.relation_embedding.weight[self.relation[edges.hop, edges.step]]
        position = relation + self.rank_embedding(reached.rank)
        return Tokens(states.index_select(0, reached.node) + position, reached.example)

    def _packed(self, tokens: list[Tokens], examples: int) -> tuple[Tensor, Tensor]:
        """(examples, places, channels) tokens, the entity's first, and (examples, places) which places are empty."""
        example = torch.cat([part.example for part in tokens])
        order = torch.argsort(example, stable=True)
        counts = torch.bincount(example, minlength=examples)
        begins = torch.cumsum(counts, 0) - counts
        place = torch.arange(len(order), device=order.device) - begins[example[order]]
        kept = place < self.max_tokens
        state = torch.cat([part.state for part in tokens]).index_select(0, order[kept])
        width = int(counts.clamp(max=self.max_tokens).max())
        at = example[order[kept]] * width + place[kept]
        packed = state.new_zeros(examples * width, state.shape[1]).index_copy(0, at, state)
        empty = torch.ones(examples * width, dtype=torch.bool, device=state.device).index_fill(0, at, False)
        return packed.view(examples, width, -1), empty.view(examples, width)


def _neighbours(edges: EdgeBatch, node: Tensor, example: Tensor) -> Reached:
    """What `edges` lead to from nodes that belong to examples."""
    size = len(edges.ends) - 1
    inside = (node >= edges.first) & (node < edges.first + size)
    source, example = node[inside] - edges.first, example[inside]
    last = edges.ends[source + 1]
    count = last - edges.ends[source]
    owner = torch.repeat_interleave(torch.arange(len(source), device=node.device), count)
    rank = torch.arange(len(owner), device=node.device) - torch.repeat_interleave(torch.cumsum(count, 0) - count, count)
    return Reached(edges.target[last[owner] - 1 - rank], example[owner], rank)
