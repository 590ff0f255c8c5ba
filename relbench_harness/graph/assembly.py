"""Joins what several threads sampled: nodes table by table and edges step by step, both ordered by hop.

Where everything goes follows from the counts of nodes and edges alone, so each thread writes its own groups in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.graph.expansion import Expansion
from relbench_harness.graph.neighbourhood import Edges, Neighbourhood, Nodes
from relbench_harness.graph.plan import ExampleGroups, Plan
from relbench_harness.graph.structure import Graph

Array = NDArray[Any]
Longs = NDArray[np.int64]


class Placement(NamedTuple):
    """Where nodes and edges go.

    Attributes:
        nodes: (groups, hops + 1, tables) where a group's nodes of one hop go, counted within the table.
        edges: (groups, hops, steps) where a group's edges go, counted within (hop, step).
        table: (tables,) where each table begins in `Output.row` and `Output.group`.
        target: (hops, steps) where the edges of a hop and step begin in `Output.target`.
        ends: (hops, steps) where the ends of their sources begin in `Output.ends`, a 0 before them.
        first_source: (hops, steps) the number of their first source within its table.
        sources: (hops, steps) how many sources they have.
        hop_ends: (hops + 1, tables) how many nodes are at most 0, 1, … steps away.
        edge_counts: (hops, steps).
    """

    nodes: Longs
    edges: Longs
    table: Longs
    target: Longs
    ends: Longs
    first_source: Longs
    sources: Longs
    hop_ends: Longs
    edge_counts: Longs

    @classmethod
    def of(cls, nodes: Longs, edges: Longs, source: Longs) -> Placement:
        """From the counts of nodes (groups, hops + 1, tables) and edges (groups, hops, steps), and each step's source."""
        per_hop, edge_counts = nodes.sum(0), edges.sum(0)
        hop_ends = np.cumsum(per_hop, axis=0)
        hop_first = hop_ends - per_hop
        sources = per_hop[:-1][:, source]
        return cls(
            nodes=hop_first[None] + np.cumsum(nodes, axis=0) - nodes,
            edges=np.cumsum(edges, axis=0) - edges,
            table=_begins(hop_ends[-1]),
            target=_begins(edge_counts.ravel()).reshape(edge_counts.shape),
            ends=_begins((sources + 1).ravel()).reshape(sources.shape),
            first_source=hop_first[:-1][:, source],
            sources=sources,
            hop_ends=hop_ends,
            edge_counts=edge_counts,
        )


class Output(NamedTuple):
    """What is filled.

    Attributes:
        row: (nodes,) table after table.
        group: (nodes,) the group of each node.
        ends: Per hop and step 0 and, of each source node, where its edges end.
        target: (edges,) hop after hop and step after step: the number of the target within its table.
    """

    row: Array
    group: Array
    ends: Array
    target: Array

    @classmethod
    def empty(cls, placement: Placement, ids: np.dtype[Any]) -> Output:
        """Memory for all of a batch, row numbers of type `ids`."""
        nodes = int(placement.hop_ends[-1].sum())
        return cls(
            np.empty(nodes, ids),
            np.empty(nodes, np.int32),
            np.zeros(int((placement.sources + 1).sum()), np.int64),
            np.empty(int(placement.edge_counts.sum()), np.int32),
        )


@dataclass(frozen=True)
class Assembly:
    """The neighbourhood to be made of the expansions of all groups.

    Attributes:
        source: (steps,) the source table of each step.
        seeds: (examples,) receives each example's node.
    """

    plan: Plan
    examples: ExampleGroups
    source: Longs
    placement: Placement
    output: Output
    seeds: NDArray[np.int32]

    @classmethod
    def of(cls, graph: Graph, plan: Plan, examples: ExampleGroups, parts: Sequence[Expansion]) -> Assembly:
        """Where everything in `parts` goes, which hold the groups of `examples` in order."""
        hops, steps = plan.steps.shape
        source = np.array([graph.number[step.source] for step in graph.steps], np.int64)
        nodes = np.concatenate([np.zeros((0, hops + 1, len(graph.sizes)), np.int64), *(part.nodes for part in parts)])
        edges = np.concatenate([np.zeros((0, hops, steps), np.int64), *(part.edges for part in parts)])
        placement = Placement.of(nodes, edges, source)
        output = Output.empty(placement, examples.row.dtype)
        return cls(plan, examples, source, placement, output, np.empty(len(examples.row), np.int32))

    def place(self, found: Expansion) -> None:
        """Write what was found for some groups."""
        position = np.empty(int(found.nodes.sum()), np.int32)
        assemble(self.plan.first_step, found, self.placement, self.output, position)
        groups, start = found.groups, self.examples.start
        base = np.repeat(_begins(found.nodes.sum((1, 2))), np.diff(start[groups.first : groups.last + 1]))
        self.seeds[self.examples.order[start[groups.first] : start[groups.last]]] = position[base + found.seeds]

    def neighbourhood(self, graph: Graph, table: str) -> Neighbourhood:
        """The whole, once all parts are in place."""
        at, out, nodes, edges = self.placement, self.output, {}, []
        for name, t in graph.number.items():
            part = slice(int(at.table[t]), int(at.table[t] + at.hop_ends[-1, t]))
            nodes[name] = Nodes(out.row[part], out.group[part], at.hop_ends[:, t])
        for hop in range(len(at.edge_counts)):
            for s, step in enumerate(graph.steps):
                ends = out.ends[at.ends[hop, s] : at.ends[hop, s] + at.sources[hop, s] + 1]
                target = out.target[at.target[hop, s] : at.target[hop, s] + at.edge_counts[hop, s]]
                edges.append(Edges(step, hop + 1, int(at.first_source[hop, s]), ends, target))
        return Neighbourhood(graph, table, self.seeds, self.examples.cutoffs, nodes, tuple(edges))


def _begins(counts: Longs) -> Longs:
    return np.cumsum(counts) - counts


@compiled
def assemble(first_step: Array, found: Expansion, placement: Placement, out: Output, position: Array) -> None:
    """Lay the nodes and edges of some groups out hop by hop.

    Args:
        first_step: (tables + 1,) where the steps of each source table begin.
        position: (nodes found,) receives each node's number within its table.
    """
    begin = _Begin(0, 0, 0, 0)
    for g in range(len(found.nodes)):
        end = _place_nodes(begin, found, placement, out, position)
        edge, degree = _place_edges(first_step, begin, found, placement, out, position)
        begin = _Begin(g + 1, end, edge, degree)


class _Begin(NamedTuple):
    """A group of an expansion, and where its nodes, edges and degrees begin in the scratch memory."""

    group: int
    node: int
    edge: int
    degree: int


@compiled
def _place_nodes(begin: _Begin, found: Expansion, placement: Placement, out: Output, position: Array) -> int:
    """Place the nodes of one group; returns their end."""
    rows, tables, node = found.scratch.rows, found.scratch.tables, begin.node
    counts, places = found.nodes[begin.group], placement.nodes[found.groups.first + begin.group]
    free = np.empty(counts.shape[1], np.int64)
    for hop in range(len(counts)):
        last = node
        for t in range(len(free)):
            free[t] = places[hop, t]
            last += counts[hop, t]
        for i in range(node, last):
            t = tables[i]
            at = free[t]
            free[t] += 1
            position[i] = at
            out.row[placement.table[t] + at] = rows[i]
            out.group[placement.table[t] + at] = found.groups.first + begin.group
        node = last
    return node


@compiled
def _place_edges(
    first_step: Array, begin: _Begin, found: Expansion, placement: Placement, out: Output, position: Array
) -> tuple[int, int]:
    """Place the edges of one group, whose nodes are placed; returns the ends of its edges and degrees."""
    tables, targets, degrees = found.scratch.tables, found.scratch.targets, found.scratch.degrees
    counts, places = found.nodes[begin.group], placement.edges[found.groups.first + begin.group]
    edge, degree, first = begin.edge, begin.degree, begin.node
    free = np.empty(places.shape[1], np.int64)
    for hop in range(len(places)):
        last = first
        for t in range(counts.shape[1]):
            last += counts[hop, t]
        for s in range(len(free)):
            free[s] = places[hop, s]
        for i in range(first, last):
            for s in range(first_step[tables[i]], first_step[tables[i] + 1]):
                taken = degrees[degree]
                degree += 1
                at = placement.target[hop, s] + free[s]
                for j in range(taken):
                    out.target[at + j] = position[begin.node + targets[edge + j]]
                edge += taken
                free[s] += taken
                out.ends[placement.ends[hop, s] + 1 + position[i] - placement.first_source[hop, s]] = free[s]
        first = last
    return edge, degree
