"""What a sampler returns: the rows around a batch of examples, and how they hang together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.graph.structure import Graph, Step
from relbench_harness.temporal.children import Ids

Index = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of one table: pairs (row, cut-off), each once, ordered by hop.

    Attributes:
        row: (nodes,) row number.
        cut: (nodes,) index into `Neighbourhood.cutoffs`.
        hop_ends: (hops + 1,) how many nodes are at most 0, 1, … steps away.
    """

    row: Ids
    cut: Index
    hop_ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def distinct(self) -> tuple[Ids, Index]:
        """(rows, index): each row once, ascending, and per node its place among them.

        Whatever does not depend on the cut-off needs to be computed for `rows` only.
        """
        low = int(self.row.min()) if len(self.row) else 0
        words = ((int(self.row.max()) - low) >> 6) + 1 if len(self.row) else 0
        if words <= 16 * len(self.row):
            return _numbered(self.row, low, words)
        return _looked_up(self.row, np.sort(self.row))


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges sampled at one hop along one step.

    Source node `first + i` of table `step.source` leads to the nodes `target[ends[i]:ends[i + 1]]` of table `step.target`;
    targets of one source are ordered by row number, so by time.

    Attributes:
        hop: 1 for edges that leave the examples.
        first: The first source node; the sources are the nodes of `step.source` that are `hop − 1` steps away.
        ends: (sources + 1,).
        target: (edges,).
    """

    step: Step
    hop: int
    first: int
    ends: NDArray[np.int64]
    target: Index

    def __len__(self) -> int:
        return len(self.target)

    @property
    def source(self) -> NDArray[np.int64]:
        """(edges,) the source node of each edge."""
        return np.repeat(np.arange(self.first, self.first + len(self.ends) - 1), np.diff(self.ends))

    @property
    def rank(self) -> NDArray[np.int64]:
        """(edges,) 0 for the latest neighbour of its source, 1 for the one before, …"""
        return np.repeat(self.ends[1:], np.diff(self.ends)) - 1 - np.arange(len(self.target))

    def padded(self, width: int) -> tuple[Index, NDArray[np.bool_]]:
        """(sources, width) target nodes, the latest first, and which of them exist; 0 where none does."""
        counts = np.minimum(np.diff(self.ends), width)
        exists = np.arange(width)[None, :] < counts[:, None]
        place = np.where(exists, self.ends[1:, None] - 1 - np.arange(width)[None, :], 0)
        if not len(self.target):
            return np.zeros(place.shape, np.int32), exists
        return np.where(exists, self.target[place], 0).astype(np.int32), exists


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The sampled surroundings of a batch of examples.

    Attributes:
        graph: Where the rows come from.
        table: The table of the examples' entities.
        seeds: (examples,) each example's node among `nodes[table]`; equal examples share one.
        cutoffs: (distinct cut-offs,) nanoseconds, ascending.
        nodes: Table → its nodes; every table has an entry.
        edges: Ordered by hop, then by step; none is left out, though some may be empty.
    """

    graph: Graph
    table: str
    seeds: Index
    cutoffs: NDArray[np.int64]
    nodes: Mapping[str, Nodes]
    edges: tuple[Edges, ...]

    @property
    def node_count(self) -> int:
        return sum(len(n) for n in self.nodes.values())

    @property
    def edge_count(self) -> int:
        return sum(len(e) for e in self.edges)

    def age(self, table: str) -> NDArray[np.float32] | None:
        """(nodes,) days from the row's time to its cut-off; None for a static table. At most 0 for an example's own row."""
        times = self.graph.table_times(table)
        if times is None:
            return None
        nodes = self.nodes[table]
        return ((self.cutoffs[nodes.cut] - times[nodes.row]) / 86_400e9).astype(np.float32)

    def not_older(self) -> dict[str, NDArray[np.bool_]]:
        """Table → (nodes,) whether the row is no older than its cut-off; only tables that have such a node.

        They are the examples' own rows and, in autocomplete tasks, the parents that they name.
        """
        found = {}
        for name, nodes in self.nodes.items():
            times = self.graph.table_times(name)
            if times is not None and len(nodes):
                late = times[nodes.row] >= self.cutoffs[nodes.cut]
                if late.any():
                    found[name] = late
        return found


@compiled
def _numbered(rows: Ids, low: int, words: int) -> tuple[Ids, Index]:
    """Each of `rows` once, ascending, and where each is among them: one bit for every row from the least to the greatest."""
    bits = np.zeros(words, np.uint64)
    for row in rows:
        bits[(row - low) >> 6] |= np.uint64(1) << np.uint64((row - low) & 63)
    before = np.empty(words, np.int32)
    total = 0
    for w in range(words):
        before[w] = total
        total += _ones(bits[w])
    distinct, index = np.empty(total, rows.dtype), np.empty(len(rows), np.int32)
    for i in range(len(rows)):
        at = rows[i] - low
        below = (np.uint64(1) << np.uint64(at & 63)) - np.uint64(1)
        index[i] = before[at >> 6] + _ones(bits[at >> 6] & below)
        distinct[index[i]] = rows[i]
    return distinct, index


@compiled
def _looked_up(rows: Ids, ordered: Ids) -> tuple[Ids, Index]:
    """The same for rows far apart: each is looked up among the distinct ones of its stretch of the table."""
    distinct = np.empty(len(ordered), rows.dtype)
    total = 0
    for row in ordered:
        if total == 0 or row != distinct[total - 1]:
            distinct[total] = row
            total += 1
    low, shift = distinct[0], 0
    while (distinct[total - 1] - low) >> shift >= 2 * total:
        shift += 1
    starts = np.zeros(((distinct[total - 1] - low) >> shift) + 2, np.int32)
    for i in range(total):
        starts[((distinct[i] - low) >> shift) + 1] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]
    index = np.empty(len(rows), np.int32)
    for i in range(len(rows)):
        bucket = (rows[i] - low) >> shift
        begin, end = starts[bucket], starts[bucket + 1]
        while begin + 1 < end:
            middle = (begin + end) >> 1
            if distinct[middle] <= rows[i]:
                begin = middle
            else:
                end = middle
        index[i] = begin
    return distinct[:total].copy(), index


@compiled
def _ones(word: np.uint64) -> int:
    """How many bits are set."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((word * np.uint64(0x0101010101010101)) >> np.uint64(56))
