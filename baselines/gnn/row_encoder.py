"""A row as a vector: its own attributes, and messages from its ancestors.

`TableEncoder` reads the attributes. `RowEncoder` passes messages from parents, and from what as-of links find, to rows, deepest
first: messages of rows that get none themselves (`leaves`), then one round of message, aggregate (sum) and update (ReLU) for each
`AncestorLayer` of the batch. A row is encoded once for all examples that see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from relbench_harness.graph.layout import Layout
from relbench_harness.graph.row_batch import AncestorLayer, Key, LayerLink, RowBatch

from .layers import module_name, zero_initialised
from .shortcuts import Affine, applied_to_chosen, as_counts, composed

GAPS = 3
"""An as-of link carries so many numbers: 1, log(1 + days) / 5 and exp(−days) of how much older the found row is."""


@dataclass(frozen=True)
class RowSchema:
    """What a row encoder is made for.

    Attributes:
        layouts: Table → what its records hold.
        parents: Foreign key → the parent's table.
        as_of: As-of key → the table in which it finds rows.
        residuals: Foreign key → how many residuals its links carry.
    """

    layouts: Mapping[str, Layout]
    parents: Mapping[Key, str]
    as_of: Mapping[Key, str]
    residuals: Mapping[Key, int]

    @property
    def found_in(self) -> dict[Key, str]:
        """Foreign and as-of key → the table in which it finds rows."""
        return {**self.parents, **self.as_of}

    @property
    def with_parents(self) -> set[str]:
        """Tables whose rows get messages, over foreign keys or as-of links."""
        return {table for table, _ in self.found_in}


class TableEncoder(nn.Module):
    """A row's own attributes as a vector: numbers and text vectors through one matrix, codes by embeddings.

    Timestamps as such are left out, because they grow without end; the temporal encoder and the entity's summary read ages.
    """

    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.layout = layout
        self.first: Tensor
        self.base = nn.Parameter(torch.zeros(channels))
        width = 2 * len(layout.names("numbers")) + len(layout.names("vectors"))
        self.numbers = nn.Linear(width, channels, bias=False) if width else None
        columns = [*layout.cardinalities, *(size for count, size in layout.sets for _ in range(count))]
        # place 0 of the table of embeddings is for what a list does not hold
        self.codes = nn.EmbeddingBag(1 + sum(columns), channels, mode="sum", padding_idx=0) if columns else None
        first = [1 + int(n) for n in np.cumsum([0, *columns])[:-1]]
        self.register_buffer("first", torch.tensor(first, dtype=torch.int32), persistent=False)
        self.norm = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(inplace=True))
        self.out = nn.Linear(channels, channels)

    def forward(self, packed: Tensor) -> Tensor:
        """(rows, channels) hidden states, before the last layer `out`, which a caller may fuse with the next one.

        Args:
            packed: (rows, words) int32 records, see `Layout.unpack`.
        """
        row = self.layout.unpack(packed)
        # the base is the weight of a column of ones
        values, weights = [self.base.new_ones(len(packed), 1)], [self.base[:, None]]
        embedded = None
        if self.numbers is not None:
            values += [row.numbers.nan_to_num(0.0), row.numbers.isnan().logical_not().float(), row.vectors.float()]
            weights.append(self.numbers.weight)
        if self.codes is not None:
            # places of a list beyond its end become code 0 of the table of embeddings
            sets = torch.where(row.sets == 0, -1 - self.first[row.codes.shape[1] :], row.sets)
            codes = (torch.cat([row.codes, sets], dim=1) + self.first).clamp(min=0)
            # a table with few codes is cheaper as a matrix product
            if len(self.codes.weight) > self.out.in_features:
                embedded = self.codes(codes)
            else:
                values.append(as_counts(codes, len(self.codes.weight))[:, 1:])
                weights.append(self.codes.weight[1:].T)
        state = functional.linear(torch.cat(values, dim=1), torch.cat(weights, dim=1))
        shaped: Tensor = self.norm(state if embedded is None else state + embedded)
        return shaped


class RowStates(NamedTuple):
    """Table → (rows, channels), the sampled rows first: each row by itself, and with its ancestors."""

    own: dict[str, Tensor]
    full: dict[str, Tensor]


class RowEncoder(nn.Module):
    """Every row of a batch as a vector."""

    def __init__(self, schema: RowSchema, channels: int) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {module_name(t): TableEncoder(layout, channels) for t, layout in schema.layouts.items()}
        )
        self.found_in, self.with_parents = schema.found_in, schema.with_parents
        self.weights = nn.ModuleDict(
            {module_name(*key): nn.Linear(channels, channels, bias=False) for key in schema.parents}
        )
        self.weights.update({module_name(*key): zero_initialised(channels, channels) for key in schema.as_of})
        features = {**dict.fromkeys(schema.as_of, GAPS), **schema.residuals}
        self.features = nn.ModuleDict(
            {module_name(*key): zero_initialised(width, channels) for key, width in features.items()}
        )

    def forward(self, batch: RowBatch) -> RowStates:
        """The states of the sampled rows; `own` has those of their ancestors too, as far as messages need them."""
        hidden = {table: self._table(table)(packed) for table, packed in batch.records.items()}
        own = {table: self._table(table).out(_first(hidden[table], count)) for table, count in batch.leaves.rows.items()}
        base = self._round(batch, batch.leaves, own, _States(hidden, {}))
        state: dict[str, Tensor] = {}
        for layer in batch.layers:
            rows = {table: _first(base[table], count) for table, count in layer.rows.items()}
            sums = self._round(batch, layer, rows, _States(hidden, state))
            state = {table: self.update(table, rows[table], total) for table, total in sums.items()}
        return RowStates(own, state)

    def _round(
        self, batch: RowBatch, layer: AncestorLayer, rows: Mapping[str, Tensor], states: _States
    ) -> dict[str, Tensor]:
        """Table → (rows, channels) `rows` plus the messages of one layer."""
        sums = {}
        for table, own in rows.items():
            messages = [self.message(batch, link, states) for link in layer.links[table]]
            sums[table] = self.aggregate(own, messages)
        return sums

    def message(self, batch: RowBatch, link: LayerLink, states: _States) -> Message:
        """What the parents along `link` send to their children."""
        child, parent, _ = batch.links[link.key]
        table, layer = self.found_in[link.key], cast(nn.Linear, self.weights[module_name(*link.key)])
        if link.updated:
            rows, affine = states.updated[table], Affine(layer.weight, None)
        else:
            rows, affine = states.hidden[table], composed(layer, self._table(table).out)
        sent = applied_to_chosen(rows, parent[: link.pairs], affine)
        if link.key in batch.link_features:
            sent = sent + self.features[module_name(*link.key)](batch.link_features[link.key][: link.pairs])
        return Message(child[: link.pairs], sent)

    @staticmethod
    def aggregate(rows: Tensor, messages: Iterable[Message]) -> Tensor:
        """(rows, channels) each row plus its messages, at most one along each link; `rows` itself where there is none."""
        total = rows
        for child, sent in messages:
            if len(child) == len(rows):
                total = total + sent
            else:
                total = total.index_add(0, child, sent) if total is rows else total.index_add_(0, child, sent)
        return total

    def update(self, table: str, rows: Tensor, total: Tensor) -> Tensor:
        """(rows, channels) the states after a round: rows of tables without parents stay as they are."""
        if table not in self.with_parents:
            return total
        return torch.relu(rows) if total is rows else total.relu_()

    def table(self, name: str) -> TableEncoder:
        """The encoder of a table's own attributes."""
        return self._table(name)

    def _table(self, name: str) -> TableEncoder:
        return cast(TableEncoder, self.tables[module_name(name)])


class Message(NamedTuple):
    """(pairs,) places of the receiving rows, ascending, and (pairs, channels) what they are sent."""

    child: Tensor
    sent: Tensor


class _States(NamedTuple):
    """Table → (rows, channels): all rows before their last linear map, and those that the layer before updated."""

    hidden: Mapping[str, Tensor]
    updated: Mapping[str, Tensor]


def _first(rows: Tensor, count: int) -> Tensor:
    return rows if count == len(rows) else rows[:count]
