"""Attention over the rows around a question: every sampled row is a token that knows what, where and how old it is.

In the line of RelGT (Dwivedi et al., 2025) and the Relational Transformer (Ranjan et al., 2025). A token is a row with its
older parents, plus encodings of its table, of how many keys it is away and over which key it was reached (which tells
children from parents, and tables that meet over two keys apart), of its rank among its siblings, and of its age. Tokens of a
question attend to each other; the question's entity reads the answer off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relbench_harness.graph.structure import Step

from ._rec import Recommending
from .nodes import node_states
from .reader import AGES, Batch, EdgeBatch, Reader, Reading
from .rows import module_name


@dataclass(frozen=True)
class RelationalTransformer(Recommending):
    """Attributes:
    layers, heads: Of attention.
    tokens: Most rows a question reads; the nearest and latest are kept.
    """

    layers: int = 2
    heads: int = 4
    tokens: int = 64

    def trunk(self, reader: Reader, reading: Reading) -> nn.Module:
        steps = [list(hop) for hop in reader.fanouts(reading.graph)]
        return TokenNetwork(reader, steps, self)


class TokenNetwork(nn.Module):
    """Tokens of each question, then attention among them."""

    def __init__(self, reader: Reader, steps: list[list[Step]], shape: RelationalTransformer) -> None:
        super().__init__()
        channels = shape.channels
        self.most = shape.tokens
        layouts = reader.encoders.layouts
        self.encoder = reader.row_encoder(channels)
        self.ages = nn.ModuleDict({module_name(table): nn.Linear(AGES, channels) for table in layouts})
        self.keys = {(hop, step): place for place, (hop, step) in enumerate(_steps(steps), 1)}
        self.reached = nn.Embedding(1 + len(self.keys), channels)
        self.ranks = nn.Embedding(1 + max((*reader.fans, 1)), channels)
        layer = nn.TransformerEncoderLayer(
            channels, shape.heads, 2 * channels, dropout=shape.dropout, batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, shape.layers, enable_nested_tensor=False)

    def forward(self, batch: Batch) -> Tensor:
        """(questions, channels)."""
        states = node_states(batch, self.encoder, self.ages)
        found = [self._entities(batch, states)]
        # the nodes of the hop before, which question each belongs to, and at which place of the hop they begin
        reach: dict[str, tuple[Tensor, Tensor]] = {
            batch.table: (batch.seeds, torch.arange(len(batch.seeds), device=batch.seeds.device))
        }
        for hop in range(1, 1 + max((e.hop for e in batch.edges), default=0)):
            further: dict[str, list[tuple[Tensor, Tensor]]] = {}
            for edges in (e for e in batch.edges if e.hop == hop):
                if edges.step.source in reach and len(edges.target):
                    node, question, rank = _follow(edges, *reach[edges.step.source])
                    kind = self.reached.weight[self.keys[hop, edges.step]] + self.ranks(
                        rank.clamp(max=self.ranks.num_embeddings - 1)
                    )
                    found.append((states[edges.step.target].index_select(0, node) + kind, question))
                    further.setdefault(edges.step.target, []).append((node, question))
            reach = {t: (torch.cat([n for n, _ in p]), torch.cat([q for _, q in p])) for t, p in further.items()}
        tokens, hidden = self._packed(found, len(batch.seeds))
        read: Tensor = self.attention(tokens, src_key_padding_mask=hidden)[:, 0]
        return read

    def _entities(self, batch: Batch, states: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        first = states[batch.table].index_select(0, batch.seeds) + self.reached.weight[0]
        return first, torch.arange(len(batch.seeds), device=batch.seeds.device)

    def _packed(self, found: list[tuple[Tensor, Tensor]], questions: int) -> tuple[Tensor, Tensor]:
        """(questions, places, channels) tokens, the entity's first, and (questions, places) which places are empty."""
        question = torch.cat([q for _, q in found])
        order = torch.argsort(question, stable=True)
        counts = torch.bincount(question, minlength=questions)
        begins = torch.cumsum(counts, 0) - counts
        place = torch.arange(len(order), device=order.device) - begins[question[order]]
        kept = place < self.most
        state = torch.cat([s for s, _ in found]).index_select(0, order[kept])
        width = int(counts.clamp(max=self.most).max())
        at = question[order[kept]] * width + place[kept]
        tokens = state.new_zeros(questions * width, state.shape[1]).index_copy(0, at, state)
        hidden = torch.ones(questions * width, dtype=torch.bool, device=state.device).index_fill(0, at, False)
        return tokens.view(questions, width, -1), hidden.view(questions, width)


def _steps(steps: list[list[Step]]) -> Iterator[tuple[int, Step]]:
    for hop, taken in enumerate(steps, 1):
        for step in taken:
            yield hop, step


def _follow(edges: EdgeBatch, node: Tensor, question: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Over `edges` from nodes that belong to questions: (node reached, question, rank among its siblings)."""
    size = len(edges.ends) - 1
    inside = (node >= edges.first) & (node < edges.first + size)
    source, question = node[inside] - edges.first, question[inside]
    last = edges.ends[source + 1]
    count = last - edges.ends[source]
    owner = torch.repeat_interleave(torch.arange(len(source), device=node.device), count)
    rank = torch.arange(len(owner), device=node.device) - torch.repeat_interleave(torch.cumsum(count, 0) - count, count)
    return edges.target[last[owner] - 1 - rank], question[owner], rank
