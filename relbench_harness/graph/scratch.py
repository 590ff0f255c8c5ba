"""Memory that the sampler works in: the nodes and edges found so far, and a hash table of the nodes of one group.

It is kept from sample to sample, because fresh memory is slow. Invariant: what lies in it says nothing about the next sample.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled
from relbench_harness.graph.drawing import GOLDEN

Array = NDArray[Any]

_S31 = np.uint64(31)
_LOCAL_BITS = 28
_LOCAL_MASK = 2**28 - 1
"""Slots hold the number of a node in the graph (35 bits) and in its group (28 bits)."""
_LITTLE = 256
"""Places of every array to begin with; the least slots of a hash table."""


class Scratch(NamedTuple):
    """Memory to sample in. Kernels return it, grown where it was short.

    Attributes:
        rows, tables: Per node, in order of discovery.
        targets: Per edge, the number of its target in its group.
        degrees: Per expanded node and step, how many edges it got.
        slots: A hash table of the nodes of one group, −1 where empty.
        size: How many of the slots are in use: a power of two, at least twice the number of nodes.
        neighbors: The rows that one row gets along one step; at least one.
        weights: The values of a heap, which are as many.
    """

    rows: Array
    tables: Array
    targets: Array
    degrees: Array
    slots: Array
    size: int
    neighbors: Array
    weights: Array

    @classmethod
    def fresh(cls, ids: np.dtype[Any]) -> Scratch:
        """A little memory for row numbers of this type."""
        rows, tables, targets, degrees, slots, neighbors, weights = (
            np.empty(_LITTLE, kind) for kind in (ids, np.int16, np.int32, np.int32, np.int64, np.int64, np.float64)
        )
        return cls(rows, tables, targets, degrees, slots, _LITTLE, neighbors, weights)


class Filled(NamedTuple):
    """How many nodes, edges and degrees there are."""

    node: int
    edge: int
    degree: int


@compiled
def visit(slots: Array, size: int, number: int, fresh: int) -> int:
    """The number that the node has in its group: `fresh` if it was not there. `size` is a power of two."""
    at = int((np.uint64(number) * GOLDEN) >> _S31) & (size - 1)
    while True:
        entry = slots[at]
        if entry < 0:
            slots[at] = (number << _LOCAL_BITS) | fresh
            return fresh
        if entry >> _LOCAL_BITS == number:
            return int(entry & _LOCAL_MASK)
        at = (at + 1) & (size - 1)


@compiled
def emptied(scratch: Scratch, end: int, expected: int) -> Scratch:
    """The memory with an empty hash table for so many nodes, and room for them after the first `end`."""
    size = _LITTLE
    while size < 2 * expected:
        size *= 2
    slots = scratch.slots if size <= len(scratch.slots) else np.empty(size, np.int64)
    slots[:size] = -1
    return Scratch(
        _longer(scratch.rows, end + expected),
        _longer(scratch.tables, end + expected),
        scratch.targets,
        scratch.degrees,
        slots,
        size,
        scratch.neighbors,
        scratch.weights,
    )


@compiled
def with_room(scratch: Scratch, base: int, filled: Filled, more: int) -> Scratch:
    """The memory with room for so many more nodes and edges, and one more degree, in the group that begins at `base`."""
    slots, size = scratch.slots, scratch.size
    while size < 2 * (filled.node + more - base):
        size *= 2
    if size > scratch.size:
        slots = np.full(size, np.int64(-1))
        for slot in range(scratch.size):
            if scratch.slots[slot] >= 0:
                visit(slots, size, scratch.slots[slot] >> _LOCAL_BITS, scratch.slots[slot] & _LOCAL_MASK)
    return Scratch(
        _longer(scratch.rows, filled.node + more),
        _longer(scratch.tables, filled.node + more),
        _longer(scratch.targets, filled.edge + more),
        _longer(scratch.degrees, filled.degree + 1),
        slots,
        size,
        _longer(scratch.neighbors, more),
        _longer(scratch.weights, more),
    )


@compiled
def _longer(array: Array, needed: int) -> Array:
    """`array` if it has `needed` places, else twice as many or more that begin with the same."""
    if needed <= len(array):
        return array
    result = np.empty(max(needed, 2 * len(array)), array.dtype)
    result[: len(array)] = array
    return result
