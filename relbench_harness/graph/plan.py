"""What the sampler's kernels read: a graph, how many neighbours each step takes at each hop, and examples by cut-off.

Plain arrays in named tuples, because kernels know neither mappings nor dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.structure import EdgeType, Graph, Step
from relbench_harness.temporal.children import Ids, Times

Longs = NDArray[np.int64]
ALL = -1
"""The fan-out that takes every visible neighbour."""

Fanout = int | Mapping[Step | EdgeType, int]
"""How many neighbours a row gets at one hop: for every step, or step by step (steps not named are not taken)."""


STEP = np.dtype(
    [
        ("num_neighbors", np.int64),
        ("target", np.int64),
        ("up", np.bool_),
        ("first_id", np.int64),
        ("first_start", np.int64),
        ("first_node", np.int64),
        ("first_time", np.int64),
    ],
    align=True,
)
"""One step at one hop.

num_neighbors: most neighbours of a row, `ALL` for all. target: the number of the table that the step leads to. up: whether it
leads from child to parent. first_id: where its rows begin in `FlatGraph.parents` if it leads up, else in `FlatGraph.children`.
first_start: where its parents begin in `FlatGraph.starts`. first_node: the number of the target's first row if all rows are
numbered one table after another. first_time: where the target's times begin in `FlatGraph.times`; −1 for a static table.
"""
Steps = NDArray[Any]
"""Records of `STEP`."""


class FlatGraph(NamedTuple):
    """The arrays of a `Graph`."""

    parents: Ids
    starts: Ids
    children: Ids
    times: Times


class Plan(NamedTuple):
    """How to sample a graph. Tables and steps go by their numbers, and the steps of one source table are consecutive.

    Attributes:
        steps: (hops, steps) records of `STEP`.
        first_step: (tables + 1,) where the steps of each source table begin.
        first_node: (tables + 1,) the number of each table's first row if all rows are numbered one table after another.
        longest: The most children that any row has along one step.
        own_parents: Whether the parents of an example's own row are visible whatever their time.
        decay: One over the time, in nanoseconds, in which a weight falls by a factor e; 0: all are equally likely.
    """

    graph: FlatGraph
    steps: Steps
    first_step: Longs
    first_node: Longs
    longest: int
    own_parents: bool
    decay: float

    @classmethod
    def of(cls, graph: Graph, num_neighbors: Sequence[Fanout], own_parents: bool, decay: float) -> Plan:
        """The plan for one fan-out per hop.

        Raises:
            InputError: A fan-out names an edge type that the graph lacks, or is below `ALL`.
        """
        number = graph.number
        source = np.array([number[step.source] for step in graph.steps], np.int64)
        first_node = np.cumsum([0, *graph.sizes.values()], dtype=np.int64)
        degrees = (np.diff(graph.children_of(child, column).starts) for child, column, _ in graph.foreign_keys)
        records = np.zeros((len(num_neighbors), len(graph.steps)), STEP)
        for s, step in enumerate(graph.steps):
            parent_at, start_at, child_at = graph.offsets[step.child, step.column]
            records["target"][:, s], records["up"][:, s] = number[step.target], step.up
            records["first_id"][:, s], records["first_start"][:, s] = parent_at if step.up else child_at, start_at
            records["first_node"][:, s] = first_node[number[step.target]]
            records["first_time"][:, s] = graph.time_offsets.get(step.target, -1)
        for hop, fanout in enumerate(num_neighbors):
            records["num_neighbors"][hop] = _by_step(graph.steps, fanout)
        return cls(
            graph=FlatGraph(graph.parents, graph.starts, graph.children, graph.times),
            steps=records,
            first_step=np.searchsorted(source, np.arange(len(number) + 1)).astype(np.int64),
            first_node=first_node,
            longest=max((int(degree.max(initial=0)) for degree in degrees), default=0),
            own_parents=own_parents,
            decay=decay,
        )


class ExampleGroups(NamedTuple):
    """Examples grouped by cut-off: those of group g are `row[start[g]:start[g + 1]]`.

    Attributes:
        table: The number of the entities' table.
        row: (examples,) entities.
        order: (examples,) where each of them was before they were grouped.
        start: (groups + 1,).
        cutoffs: (groups,) nanoseconds, ascending.
        visible: (groups, tables) how many leading rows of each table are older than the cut-off.
    """

    table: int
    row: Ids
    order: Longs
    start: Longs
    cutoffs: Times
    visible: Longs

    @classmethod
    def of(cls, graph: Graph, table: str, rows: NDArray[np.integer[Any]], cutoffs: Times) -> ExampleGroups:
        """The groups of examples about `rows` of `table`."""
        distinct, group = np.unique(np.asarray(cutoffs, np.int64), return_inverse=True)
        order = np.argsort(group, kind="stable")
        start = np.searchsorted(group[order], np.arange(len(distinct) + 1)).astype(np.int64)
        visible = np.stack([graph.visible(name, distinct) for name in graph.sizes], axis=1)
        row = np.asarray(rows)[order].astype(graph.parents.dtype)
        return cls(graph.number[table], row, order, start, distinct, np.ascontiguousarray(visible))

    def spans(self, wanted: int) -> list[GroupSpan]:
        """At most `wanted` stretches of groups with about equally many examples."""
        ends = np.searchsorted(self.start, np.linspace(0, self.start[-1], wanted + 1)[1:], side="left")
        ends[-1] = len(self.cutoffs)
        bounds = np.unique(np.concatenate([[0], np.minimum(ends, len(self.cutoffs))]))
        return [GroupSpan(int(first), int(last)) for first, last in pairwise(bounds)]


class GroupSpan(NamedTuple):
    """The groups `first` … `last − 1`."""

    first: int
    last: int


def _by_step(steps: Sequence[Step], fanout: Fanout) -> list[int]:
    """A fan-out step by step."""
    if isinstance(fanout, Mapping):
        named = {key.type if isinstance(key, Step) else key: most for key, most in fanout.items()}
        known = {step.type for step in steps}
        for key in named:
            if key not in known:
                raise InputError(f"no edge type {key} in the graph; {nearest(str(key), map(str, known))}")
        values = [named.get(step.type, 0) for step in steps]
    else:
        values = [fanout] * len(steps)
    if any(value < ALL for value in values):
        raise InputError(f"a fan-out is a number of neighbours, or {ALL} for all, got {min(values)}")
    return values
