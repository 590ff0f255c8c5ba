"""How alike items are to those that an entity had to do with: who interacts with one interacts with the other.

The value of an item is the sum, over the entity's own items, of the cosine similarity of the two items' sets of entities. The
values of all entities for all items are never held at once: those of one entity are summed up in an array of the items.

Invariant: the values are those of the matrix product that they stand for, whichever of them are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.data.compiled import compiled


class SparseRows(NamedTuple):
    """The rows of a sparse matrix: row r has `values[starts[r]:starts[r + 1]]` in the columns of the same places."""

    starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class CoVisitation:
    """Items of entities, and what is alike to each.

    Attributes:
        own: A row per entity: its items, each with the weight 1 / √(how many entities have it).
        alike: A row per item: the items that share entities with it, with Σ 1 / √(how many entities have the other item).
        items: How many items there are.
    """

    own: SparseRows
    alike: SparseRows
    items: int

    @classmethod
    def of(cls, own: sparse.csr_matrix, met: sparse.csr_matrix) -> CoVisitation:
        """From 0 and 1: `own` (n, items) of the entities that values are wanted for, `met` (entities, items) of all entities."""
        scale = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(met.sum(axis=0)).ravel(), 1)))
        return cls(_rows((own @ scale).tocsr()), _rows((met.T.tocsr() @ (met @ scale).tocsr()).tocsr()), own.shape[1])

    def greatest(self, most: int) -> NDArray[np.int64]:
        """Keys (entity · items + item) of the `most` greatest values of each entity; the lower item first where values are equal."""
        return _greatest(self.own, self.alike, self.items, most) if most > 0 else np.zeros(0, np.int64)

    def at(self, entity: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.float64]:
        """(pairs,) values for pairs whose entities ascend; 0 where the two have nothing in common."""
        return _at(self.own, self.alike, self.items, (entity, item))


def _rows(matrix: sparse.csr_matrix) -> SparseRows:
    return SparseRows(matrix.indptr, matrix.indices, matrix.data)


@compiled
def _sum_up(entity: int, own: SparseRows, alike: SparseRows, value: NDArray[np.float64], touched: NDArray[np.int64]) -> int:
    """Adds an entity's values to `value`, which is 0 everywhere, and lists their items in `touched`; how many there are."""
    count = 0
    for mine in range(own.starts[entity], own.starts[entity + 1]):
        item, weight = own.columns[mine], own.values[mine]
        for place in range(alike.starts[item], alike.starts[item + 1]):
            other = alike.columns[place]
            if value[other] == 0:
                touched[count] = other
                count += 1
            value[other] += weight * alike.values[place]
    return count


@compiled
def _greatest(own: SparseRows, alike: SparseRows, items: int, most: int) -> NDArray[np.int64]:
    value, touched = np.zeros(items), np.empty(items, np.int64)
    entities = len(own.starts) - 1
    keys, kept = np.empty(entities * min(most, items), np.int64), 0
    values, chosen = np.empty(most), np.empty(most, np.int64)
    for entity in range(entities):
        count, found = _sum_up(entity, own, alike, value, touched), 0
        for place in range(count):
            item = touched[place]
            found = _insert(item, value[item], values, chosen, found)
            value[item] = 0
        for place in range(found):
            keys[kept] = entity * items + chosen[place]
            kept += 1
    return keys[:kept]


@compiled
def _insert(item: int, value: float, values: NDArray[np.float64], chosen: NDArray[np.int64], found: int) -> int:
    """Puts an item among the `found` greatest so far, which descend, if it belongs there; how many there are then."""
    most = len(values)
    if found == most and (value < values[most - 1] or (value == values[most - 1] and item > chosen[most - 1])):
        return found
    place = min(found, most - 1)
    while place > 0 and (values[place - 1] < value or (values[place - 1] == value and chosen[place - 1] > item)):
        values[place], chosen[place] = values[place - 1], chosen[place - 1]
        place -= 1
    values[place], chosen[place] = value, item
    return min(found + 1, most)


@compiled
def _at(
    own: SparseRows, alike: SparseRows, items: int, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.float64]:
    value, touched = np.zeros(items), np.empty(items, np.int64)
    entity, item = pairs
    found, count = np.empty(len(entity)), 0
    for pair in range(len(entity)):
        if pair == 0 or entity[pair] != entity[pair - 1]:
            value[touched[:count]] = 0
            count = _sum_up(entity[pair], own, alike, value, touched)
        found[pair] = value[item[pair]]
    return found
