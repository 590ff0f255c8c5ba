"""How much of an entity's history is with items that are alike: of the same category, brand or maker.

It speaks for items that the entity never met. Invariant: only interactions older than the cut-off count; what makes items alike are
values and parents in the items' own rows, never row numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.data.table import Table
from relbench_harness.temporal.interactions import Interactions
from relbench_harness.temporal.visibility import Rows

FEWEST_ALIKE = 3
"""Values that fewer items share on average make no items alike."""


def likeness_columns(items: Table) -> tuple[str, ...]:
    """The foreign keys and texts of the items' table whose values several items share."""
    found = []
    for column in (*items.references, *items.attributes):
        values = items.rows.column(column)
        if column in items.references or pa.types.is_string(values.type) or pa.types.is_dictionary(values.type):
            distinct = len(pc.unique(values.drop_null()))
            if distinct > 1 and FEWEST_ALIKE * distinct <= len(values) - values.null_count:
                found.append(column)
    return tuple(found)


def codes_of(items: Table, column: str) -> Rows:
    """(items,) a number that equal values of `column` share, −1 for null."""
    values = items.rows.column(column).combine_chunks()
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    return np.asarray(pc.fill_null(coded.indices.cast(pa.int64()), -1), dtype=np.int64)


@dataclass(frozen=True)
class AlikeItems:
    """An entity's history with items alike in one column.

    Attributes:
        own: The interactions of the n entities, by their numbers.
        entities: n.
        code: (items,) see `codes_of`.
        windows: Name → start (nanoseconds) of each window up to the cut-off.
    """

    own: Interactions
    entities: int
    code: Rows
    windows: Mapping[str, int]

    def columns(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(pairs,) the share of the entity's interactions in each window that are with items alike; NaN for unlike ones."""
        wide = int(self.code.max(initial=0)) + 1
        code, found = self.code[item], {}
        for name, start in self.windows.items():
            some = self.own.since(start)
            mine = self.code[some.item]
            known = np.flatnonzero(mine >= 0)
            cells = np.ones(len(known)), (some.entity[known], mine[known])
            counts = sparse.csr_matrix(cells, shape=(self.entities, wide))
            total = np.bincount(some.entity, minlength=self.entities)[number]
            share = np.asarray(counts[number, code.clip(0)]).ravel() / np.maximum(total, 1)
            found[name] = np.where(code >= 0, share, np.nan)
        return found
