"""The sampler's inner loops. Everything a kernel decides depends on the seed, the cut-off, the row and the step alone.

A *group* is the questions that share a cut-off. `expand` walks one group after another, so that its table of found rows
stays small; `assemble` lays the groups out side by side, ordered by hop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled

Array = NDArray[Any]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_S58, _ONE, _ZERO, _SIX_BITS = np.uint64(58), np.uint64(1), np.uint64(0), 63
_UNIT = 2.0**-53
_HALF_UNIT = 2.0**-54
_LOCAL_BITS = 28
_LOCAL_MASK = 2**28 - 1
"""Slots hold the number of a node in the graph (35 bits) and in its group (28 bits)."""
SLOTS = 256
"""Slots of the table of found nodes at the beginning of the first group; later groups begin where the last one ended."""
AHEAD = 32
"""Nodes whose places in memory are touched before they are expanded, so that the waits for memory overlap."""

_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_LOWEST_BIT = np.zeros(64, np.int64)
for _bit in range(64):
    _LOWEST_BIT[((0x03F79D71B4CB0A89 << _bit) & (2**64 - 1)) >> 58] = _bit


@compiled
def mix(x: np.uint64) -> np.uint64:
    """A bijective scrambling of 64 bits (Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014)."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@compiled
def stream(seed: np.uint64, cutoff: np.int64, step: np.int64, row: np.int64) -> np.uint64:
    """The start of the random numbers that belong to one row, step and cut-off."""
    key = mix(seed + _GOLDEN + np.uint64(cutoff))
    key = mix(key + _GOLDEN + np.uint64(step))
    return mix(key + _GOLDEN + np.uint64(row))


@compiled
def pick_uniform(n: int, k: int, key: np.uint64, bits: Array, out: Array) -> None:
    """out[:k] = k of the positions 0 … n−1, each set equally likely, ascending (Floyd's algorithm). `bits` stays zero."""
    for i in range(k):
        j = n - k + i
        key += _GOLDEN
        drawn = int(np.float64(mix(key) >> _S11) * _UNIT * (j + 1))
        mask = _ONE << np.uint64(drawn & _SIX_BITS)
        if bits[drawn >> 6] & mask != _ZERO:
            drawn = j
            mask = _ONE << np.uint64(drawn & _SIX_BITS)
        bits[drawn >> 6] |= mask
        out[i] = drawn
    words = (n + 63) >> 6
    if words <= 8 * k:
        found = 0
        for w in range(words):
            word = bits[w]
            while word != _ZERO:
                lowest = word & (~word + _ONE)
                out[found] = (w << 6) + _LOWEST_BIT[(lowest * _BRUIJN) >> _S58]
                found += 1
                word ^= lowest
            bits[w] = _ZERO
    else:
        for i in range(k):
            bits[out[i] >> 6] = _ZERO
        out[:k].sort()


@compiled
def pick_decayed(
    children: Array, k: int, key: np.uint64, times: Array, cutoff: int, rate: float, out: Array, heap: Array
) -> None:
    """out[:k] = k positions of `children` drawn one after another with weight exp(−age), ascending.

    The k largest of −age + Gumbel noise are such a draw (Kool, van Hoof & Welling, Stochastic beams and where to find them,
    2019). The walk starts at the youngest, so the weight last computed bounds those to come: most rows are refused by
    their noise alone, without a look at their time, and the walk ends where no noise could suffice.

    Args:
        children: (n,) rows of a timed table, ascending, all visible.
        times: (rows of that table,) nanoseconds.
        rate: Age per nanosecond.
    """
    held, enough = 0, 2.0
    for back in range(len(children)):
        at = len(children) - 1 - back
        noise = (np.float64(mix(key + _GOLDEN * np.uint64(at + 1)) >> _S11) + 0.5) * _UNIT
        # −log(noise) ≥ 1 − noise, and only −log(noise) < weight · exp(−smallest held) enters
        if 1.0 - noise > enough:
            if enough < _HALF_UNIT:
                break
            continue
        age = np.float64(cutoff - times[children[at]]) * rate
        value = -age - np.log(-np.log(noise))
        if held < k:
            child = held
            held += 1
            while child > 0 and heap[(child - 1) >> 1] > value:
                heap[child], out[child] = heap[(child - 1) >> 1], out[(child - 1) >> 1]
                child = (child - 1) >> 1
            heap[child], out[child] = value, at
        elif value > heap[0]:
            hole = 0
            while True:
                child = 2 * hole + 1
                if child >= k:
                    break
                if child + 1 < k and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= value:
                    break
                heap[hole], out[hole] = heap[child], out[child]
                hole = child
            heap[hole], out[hole] = value, at
        if held == k:
            enough = np.exp(-heap[0] - age) * (1.0 + 1e-9)
    out[:k].sort()


@compiled
def _longer(array: Array, needed: int) -> Array:
    result = np.empty(max(needed, 2 * len(array)), array.dtype)
    result[: len(array)] = array
    return result


@compiled
def _first_at_least(ids: Array, low: int, high: int, bound: int) -> int:
    while low < high:
        middle = (low + high) >> 1
        if ids[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _visit(slots: Array, size: int, number: int, fresh: int) -> int:
    """The number that the node has in its group: `fresh` if it was not there. `size` is a power of two."""
    at = int((np.uint64(number) * _GOLDEN) >> _S31) & (size - 1)
    while True:
        entry = slots[at]
        if entry < 0:
            slots[at] = (number << _LOCAL_BITS) | fresh
            return fresh
        if entry >> _LOCAL_BITS == number:
            return int(entry & _LOCAL_MASK)
        at = (at + 1) & (size - 1)


@compiled
def _roomier(slots: Array, size: int, needed: int) -> tuple[Array, int]:
    """A table with at least `needed` slots and the same entries."""
    wider = size
    while wider < needed:
        wider *= 2
    result = np.full(wider, np.int64(-1))
    for slot in range(size):
        if slots[slot] >= 0:
            _visit(result, wider, slots[slot] >> _LOCAL_BITS, slots[slot] & _LOCAL_MASK)
    return result, wider


@compiled
def _touch(
    row_of: Array, table_of: Array, step_first: Array, step: Array, fan: Array, parents: Array, starts: Array
) -> int:
    """Read what `expand` will read first about these nodes, one read not waiting for another."""
    read = 0
    for i in range(len(row_of)):
        for s in range(step_first[table_of[i]], step_first[table_of[i] + 1]):
            if fan[s] == 0:
                continue
            if step[s, 1] == 1:
                read += parents[step[s, 2] + row_of[i]]
            else:
                read += starts[step[s, 3] + row_of[i] + 1]
    return read


@compiled
def expand(
    groups: tuple[int, int],
    question_start: Array,
    question_row: Array,
    question_table: int,
    bounds: Array,
    cutoffs: Array,
    flat: tuple[Array, Array, Array, Array],
    step_first: Array,
    step: Array,
    table: Array,
    fan: Array,
    bits: Array | None,
    rate: float,
    seed: np.uint64,
    own_parents: bool,
    scratch: tuple[Array, Array, Array, Array, Array],
) -> tuple[tuple[Array, Array, Array, Array, Array], Array, Array, Array]:
    """Sample the groups `groups[0]` … `groups[1] − 1`.

    Args:
        question_start: (all groups + 1,) where each group's questions begin in `question_row`.
        bounds: (tables, all groups) how many leading rows are visible.
        flat: `parents, starts, children, times` of the graph.
        step_first: (tables + 1,) where each source table's steps begin.
        step: (steps, 4) target table, 1 for up, begin in `parents` or `children`, begin in `starts`.
        table: (tables + 1, 2) first node number, begin in `times` (−1 static).
        fan: (hops, steps) most neighbours per row, −1 for all.
        bits: (longest list of children / 64 + 1,) zeros to draw with. None: the latest neighbours, and what draws others is
            not compiled.
        rate: One over the time, in nanoseconds, in which a weight falls by a factor e; 0: all are equally likely.
        scratch: Memory to work in: node rows, node tables, edge targets, edges per source and step, slots.

    Returns:
        The scratch memory, grown where it was short. It holds the rows and tables of the found nodes in order of discovery,
        of each sampled edge the target's number in its group, and per expanded node and step the number of edges. Then
        (groups, hops + 1, tables) nodes, (groups, hops, steps) edges, and each question's node number in its group.
    """
    parents, starts, children, times = flat
    row_of, table_of, target_of, run, slots = scratch
    hops, tables, steps = fan.shape[0], len(step_first) - 1, len(step)
    count = groups[1] - groups[0]
    nodes = np.zeros((count, hops + 1, tables), np.int64)
    edges = np.zeros((count, hops, steps), np.int64)
    first_question = question_start[groups[0]]
    answered = np.empty(question_start[groups[1]] - first_question, np.int32)
    widest = 1
    for h in range(hops):
        for s in range(steps):
            widest = max(widest, fan[h, s])
    picked, heap = np.empty(widest, np.int64), np.empty(widest, np.float64)
    end, edge_end, run_end, base, touched = 0, 0, 0, 0, 0
    for g in range(groups[0], groups[1]):
        size = SLOTS
        while size < 2 * (end - base):
            size *= 2
        if size > len(slots):
            slots = np.empty(size, np.int64)
        slots[:size] = -1
        base, local = end, g - groups[0]
        asked = question_start[g + 1] - question_start[g]
        if end + asked > len(row_of):
            row_of, table_of = _longer(row_of, end + asked), _longer(table_of, end + asked)
        if 2 * asked > size:
            slots, size = _roomier(slots, size, 2 * asked)
        for q in range(question_start[g], question_start[g + 1]):
            at = _visit(slots, size, table[question_table, 0] + question_row[q], end - base)
            row_of[end], table_of[end] = question_row[q], question_table
            end += at == end - base
            answered[q - first_question] = at
        nodes[local, 0, question_table] = end - base
        frontier = base
        for h in range(hops):
            frontier_end = end
            for node in range(frontier, frontier_end):
                if (node - frontier) % AHEAD == 0:
                    upto = min(node + AHEAD, frontier_end)
                    touched += _touch(row_of[node:upto], table_of[node:upto], step_first, step, fan[h], parents, starts)
                row, source = np.int64(row_of[node]), table_of[node]
                for s in range(step_first[source], step_first[source + 1]):
                    if run_end == len(run):
                        run = _longer(run, run_end + 1)
                    run[run_end] = 0
                    run_end += 1
                    most = fan[h, s]
                    if most == 0:
                        continue
                    target, bound = step[s, 0], bounds[step[s, 0], g]
                    whole = True
                    if step[s, 1] == 1:
                        low = step[s, 2] + row
                        high = low + 1
                        parent = parents[low]
                        if parent < 0 or (parent >= bound and not (own_parents and h == 0)):
                            continue
                    else:
                        low = step[s, 2] + starts[step[s, 3] + row]
                        high = step[s, 2] + starts[step[s, 3] + row + 1]
                        if low == high:
                            continue
                        if children[high - 1] >= bound:
                            high = _first_at_least(children, low, high, bound)
                        if most > 0 and high - low > most:
                            if bits is None:
                                low = high - most
                            else:
                                whole = False
                                key = stream(seed, cutoffs[g], np.int64(s), row)
                                born = table[target, 1]
                                if born < 0 or rate == 0.0:
                                    pick_uniform(high - low, most, key, bits, picked)
                                else:
                                    pick_decayed(
                                        children[low:high], most, key, times[born:], cutoffs[g], rate, picked, heap
                                    )
                                # all reads before their use, so that they overlap
                                for i in range(most):
                                    picked[i] = children[low + picked[i]]
                    taken = high - low if whole else most
                    run[run_end - 1] = taken
                    edges[local, h, s] += taken
                    if edge_end + taken > len(target_of):
                        target_of = _longer(target_of, edge_end + taken)
                    if end + taken > len(row_of):
                        row_of, table_of = _longer(row_of, end + taken), _longer(table_of, end + taken)
                    if 2 * (end + taken - base) > size:
                        slots, size = _roomier(slots, size, 2 * (end + taken - base))
                    number, before = table[target, 0], end
                    for i in range(taken):
                        found = parents[low] if step[s, 1] == 1 else np.int64(children[low + i]) if whole else picked[i]
                        at = _visit(slots, size, number + found, end - base)
                        row_of[end], table_of[end] = found, target
                        end += at == end - base
                        target_of[edge_end + i] = at
                    edge_end += taken
                    nodes[local, h + 1, target] += end - before
            frontier = frontier_end
    picked[0] = touched
    return (row_of, table_of, target_of, run, slots), nodes, edges, answered


@compiled
def assemble(
    groups: tuple[int, int],
    found: tuple[Array, Array, Array, Array, Array],
    nodes: Array,
    node_at: Array,
    edge_at: Array,
    source_at: Array,
    step_first: Array,
    out_row: Array,
    out_group: Array,
    out_end: Array,
    out_target: Array,
    position: Array,
) -> None:
    """Lay one call's discoveries out hop by hop.

    Args:
        nodes: (groups, hops + 1, tables) of this call.
        node_at: (groups, hops + 1, tables) where a group's nodes go in `out_row`, counted within the table.
        edge_at: (groups, hops, steps) where a group's edges go, counted within (hop, step).
        source_at: (3, hops + 1 or hops, tables or steps) begins: [0, 0, table] of the table in `out_row`;
            [1, hop, step] of the edges in `out_target`; [2, hop, step] of the sources in `out_end`.
        out_end: Per (hop, step) and source node the end of its edges.
        position: (nodes of this call,) receives each node's number within its table.
    """
    row_of, table_of, target_of, run, _ = found
    hops, tables, steps = nodes.shape[1] - 1, nodes.shape[2], edge_at.shape[2]
    node, edge, runs = 0, 0, 0
    free, edge_free = np.empty(tables, np.int64), np.empty(steps, np.int64)
    for g in range(groups[1] - groups[0]):
        base = node
        for h in range(hops + 1):
            here = 0
            for t in range(tables):
                free[t] = node_at[g, h, t]
                here += nodes[g, h, t]
            for i in range(node, node + here):
                t = table_of[i]
                at = free[t]
                free[t] += 1
                position[i] = at
                out_row[source_at[0, 0, t] + at] = row_of[i]
                out_group[source_at[0, 0, t] + at] = groups[0] + g
            node += here
        first = base
        for h in range(hops):
            last = first
            for t in range(tables):
                last += nodes[g, h, t]
            for s in range(steps):
                edge_free[s] = edge_at[g, h, s]
            for i in range(first, last):
                t = table_of[i]
                for s in range(step_first[t], step_first[t + 1]):
                    taken = run[runs]
                    runs += 1
                    at = source_at[1, h, s] + edge_free[s]
                    for j in range(taken):
                        out_target[at + j] = position[base + target_of[edge + j]]
                    edge += taken
                    edge_free[s] += taken
                    # sources of a hop are numbered from the first node that the hop's table has in this hop
                    out_end[source_at[2, h, s] + position[i]] = edge_free[s]
            first = last
