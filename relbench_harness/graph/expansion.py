"""The kernel that samples: from the examples of one cut-off to their neighbours, hop by hop, one cut-off after another.

Invariant: what a row gets depends on the seed, the cut-off, the row and the step alone. A *group* is the examples that share a
cut-off; the groups are walked one after another, so that the table of found rows stays small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.graph.drawing import Ages, Integer, pick_decayed, pick_uniform, stream
from relbench_harness.graph.plan import ExampleGroups, GroupSpan, Plan, Steps
from relbench_harness.graph.scratch import Filled, Scratch, emptied, visit, with_room

Array = NDArray[Any]
Bits = NDArray[np.uint64]

_EVERYTHING = 2**62
"""More rows than any table has."""
_AHEAD = 32
"""Nodes whose places in memory are touched before they are expanded, so that the waits for memory overlap."""


class Expansion(NamedTuple):
    """What was found for some groups.

    Attributes:
        groups: Which groups.
        scratch: Holds the nodes, group after group and hop after hop, and the edges in the order of their sources.
        nodes: (groups, hops + 1, tables) how many nodes were first found at each hop.
        edges: (groups, hops, steps) how many edges were taken.
        seeds: (examples,) the number of each example's node in its group.
    """

    groups: GroupSpan
    scratch: Scratch
    nodes: Array
    edges: Array
    seeds: Array


class _Place(NamedTuple):
    """How far the walk of a hop is: which node and step come next, and what is found so far."""

    node: int
    step: int
    filled: Filled


class _Hop(NamedTuple):
    """One hop of one group.

    Attributes:
        number: Of the hop, from 0.
        seed: Of what is drawn.
        cutoff: Nanoseconds.
        visible: (tables,) how many leading rows of each table are older than it.
        base: The group's first node.
        last: The end of the nodes to expand.
    """

    number: int
    seed: np.uint64
    cutoff: int
    visible: Array
    base: int
    last: int


class _Counts(NamedTuple):
    """How many nodes (per table) and edges (per step) one hop found."""

    nodes: Array
    edges: Array


class _Choice(NamedTuple):
    """Which neighbours one row gets along a step from parent to children.

    Attributes:
        low, high: Where the visible ones lie among the children.
        taken: How many it gets.
        seed, cutoff, step, row: What a draw follows from.
        first_time: Where the children's times begin; −1 for a static table.
        decay: See `Plan`.
    """

    low: int
    high: int
    taken: int
    seed: np.uint64
    cutoff: int
    step: int
    row: Integer
    first_time: int
    decay: float


@compiled
def expand(
    plan: Plan, examples: ExampleGroups, groups: GroupSpan, seed: np.uint64, bits: Bits | None, scratch: Scratch
) -> Expansion:
    """Sample around the examples of some groups.

    Args:
        bits: (plan.longest / 64 + 1,) zeros to draw with. None: the latest neighbours, and what draws others is not compiled.
    """
    hops, steps = plan.steps.shape
    table, example_row, _, start, cutoffs, visible = examples
    count, number, first_example = groups.last - groups.first, plan.first_node[table], start[groups.first]
    nodes = np.zeros((count, hops + 1, len(plan.first_step) - 1), np.int64)
    edges = np.zeros((count, hops, steps), np.int64)
    seeds = np.empty(start[groups.last] - first_example, np.int32)
    base, filled = 0, Filled(0, 0, 0)
    for g in range(count):
        group = groups.first + g
        low, high = start[group], start[group + 1]
        scratch = emptied(scratch, filled.node, max(filled.node - base, high - low))
        base = filled.node
        end = _enter(scratch, example_row[low:high], table, number, base, seeds[low - first_example : high - first_example])
        nodes[g, 0, table] = end - base
        first, filled = base, Filled(end, filled.edge, filled.degree)
        for h in range(hops):
            hop = _Hop(h, seed, cutoffs[group], visible[group], base, filled.node)
            counts = _Counts(nodes[g, h + 1], edges[g, h])
            place, needed = _walk(plan, hop, _Place(first, 0, filled), bits, scratch, counts)
            while needed >= 0:
                scratch = with_room(scratch, base, place.filled, needed)
                place, needed = _walk(plan, hop, place, bits, scratch, counts)
            first, filled = filled.node, place.filled
    return Expansion(groups, scratch, nodes, edges, seeds)


@compiled
def _walk(plan: Plan, hop: _Hop, place: _Place, bits: Bits | None, scratch: Scratch, counts: _Counts) -> tuple[_Place, int]:
    """Take the steps of a hop from `place` on, as far as the memory goes.

    Arrays are taken out of their tuples once and never replaced: counting references would cost more than the steps.

    Returns:
        How far it came, and for how many more nodes and edges there must be room to go on; −1 at the end of the hop.
    """
    rows, tables, targets, degrees, slots, size, neighbors, weights = scratch
    parents, starts, children, times = plan.graph
    number, seed, cutoff, visible, base, last = hop
    first, begin, (end, edge, degree) = place
    nodes, edges = counts
    first_step, steps, decay = plan.first_step, plan.steps[number], plan.decay
    own_parents, touched = plan.own_parents and number == 0, 0
    for node in range(first, last):
        if (node - first) % _AHEAD == 0:
            upto = min(node + _AHEAD, last)
            touched += _touch(rows[node:upto], tables[node:upto], first_step, steps, parents, starts)
        row, source = np.int64(rows[node]), tables[node]
        for s in range(max(begin, first_step[source]), first_step[source + 1]):
            step, low, high = steps[s], 0, 0
            if step.num_neighbors != 0:
                bound = _EVERYTHING if own_parents and step.up else visible[step.target]
                low, high = _visible(step, row, bound, parents, starts, children)
            taken = high - low if step.num_neighbors < 0 else min(high - low, step.num_neighbors)
            if (
                degree == len(degrees)
                or edge + taken > len(targets)
                or end + taken > len(rows)
                or 2 * (end + taken - base) > size
                or taken > len(neighbors)
            ):
                return _Place(node, s, Filled(end, edge, degree)), taken
            degrees[degree] = taken
            degree += 1
            if taken == 0:
                continue
            if step.up:
                neighbors[0] = parents[low]
            else:
                choice = _Choice(low, high, taken, seed, cutoff, s, row, step.first_time, decay)
                _choose(choice, children, times, bits, neighbors, weights)
            before = end
            for i in range(taken):
                found = neighbors[i]
                at = visit(slots, size, step.first_node + found, end - base)
                rows[end], tables[end] = found, step.target
                end += at == end - base
                targets[edge + i] = at
            edge += taken
            edges[s] += taken
            nodes[step.target] += end - before
        begin = 0
    neighbors[0] = touched
    return _Place(last, 0, Filled(end, edge, degree)), -1


@compiled
def _visible(step: Any, row: Integer, bound: int, parents: Array, starts: Array, children: Array) -> tuple[int, int]:
    """Where the visible neighbours of `row` lie among the step's ids; `bound`: how many rows of the target are visible."""
    low, parent_seen = step.first_id, 0
    high = low
    if step.up:
        low, high = low + row, low + row
        parent_seen = int(0 <= parents[low] < bound)
    else:
        start = step.first_start + row
        low, high = low + starts[start], low + starts[start + 1]
    return low, _first_at_least(children, low, high, bound) + parent_seen


@compiled
def _choose(choice: _Choice, children: Array, times: Array, bits: Bits | None, found: Array, weights: Array) -> None:
    """Write the chosen rows to `found`, ascending."""
    low, high, taken, seed, cutoff, step, row, first_time, decay = choice
    if bits is None or taken == high - low:
        for i in range(taken):
            found[i] = children[high - taken + i]
    else:
        key = stream(seed, cutoff, np.int64(step), row)
        if first_time < 0 or decay == 0.0:
            pick_uniform(high - low, taken, key, bits, found)
        else:
            pick_decayed(children[low:high], taken, key, Ages(times[first_time:], cutoff, decay), found, weights)
        # all reads before their use, so that they overlap
        for i in range(taken):
            found[i] = children[low + found[i]]


@compiled
def _touch(rows: Array, tables: Array, first_step: Array, steps: Steps, parents: Array, starts: Array) -> int:
    """Read what a hop will read first about these nodes, one read not waiting for another."""
    read = 0
    for i in range(len(rows)):
        for s in range(first_step[tables[i]], first_step[tables[i] + 1]):
            step = steps[s]
            if step.num_neighbors == 0:
                continue
            if step.up:
                read += parents[step.first_id + rows[i]]
            else:
                read += starts[step.first_start + rows[i] + 1]
    return read


@compiled
def _enter(scratch: Scratch, own: Array, table: int, number: int, base: int, seeds: Array) -> int:
    """Make the examples' own rows the first nodes of a group; fills `seeds`, returns the end of the nodes.

    Args:
        number: Of the table's first row in the graph.
    """
    end = base
    for i in range(len(own)):
        seeds[i] = visit(scratch.slots, scratch.size, number + own[i], end - base)
        scratch.rows[end], scratch.tables[end] = own[i], table
        end += seeds[i] == end - base
    return end


@compiled
def _first_at_least(ids: Array, low: int, high: int, bound: int) -> int:
    """Where the ascending ids from `low` to `high` reach `bound`."""
    while low < high and ids[high - 1] >= bound:
        middle = (low + high) >> 1
        if ids[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return high
