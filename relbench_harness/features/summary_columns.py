"""Which histories of an entity are summarised, and which columns of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.features.encode import numbers
from relbench_harness.temporal.paths import ForeignKey, KeyPath, child_paths, foreign_keys
from relbench_harness.temporal.running_totals import Floats

MOST_COLUMNS = 24
"""Columns of one table that are summarised, at most."""
MOST_VALUES = 2000
"""A column with more distinct values has no common ones."""
COMMON = 4
"""How many common values of a column are counted."""


@dataclass(frozen=True)
class SummaryPath:
    """Rows that belong to the entity, or to the parent that its foreign key `up` names."""

    up: ForeignKey | None
    path: KeyPath


def summary_paths(database: Database, entity: str) -> list[SummaryPath]:
    """Children of the entity, children of those, and children of the entity's parents, where they appear in time."""
    found = [SummaryPath(None, path) for path in child_paths(database, entity, 2)]
    for key in foreign_keys(database):
        if key.child == entity:
            found += [SummaryPath(key, path) for path in child_paths(database, key.parent, 1)]
    return [one for one in found if any(database[table].times is not None for table in one.path.tables)]


@dataclass(frozen=True)
class SummaryColumn:
    """One number per row of a table: a column in units of its mean size, or whether it has a common value."""

    column: str
    scale: float
    value: object = None

    def read(self, table: Table) -> Floats:
        """(rows,) NaN where missing."""
        column = table.rows.column(self.column)
        if self.value is not None:
            same = pc.equal(column, pa.scalar(self.value, column.type))
            return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), dtype=np.float64)
        return numbers(column) / self.scale


def summary_columns(table: Table) -> list[SummaryColumn]:
    """What of a table is worth averaging, judged by its rows."""
    found: list[SummaryColumn] = []
    for name in table.attributes:
        column = table.rows.column(name)
        number = _is_number(column.type)
        if number:
            size = np.abs(numbers(column))
            known = size[~np.isnan(size)]
            if len(known) and known.min() != known.max():
                found.append(SummaryColumn(name, float(known.mean()) or 1.0))
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if text or (number and not pa.types.is_floating(column.type)):
            found += _common_values(name, column)
    return found[:MOST_COLUMNS]


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    )


def _common_values(name: str, column: pa.ChunkedArray) -> list[SummaryColumn]:
    """The commonest values of a column that has few values, or a few common ones."""
    counts = pc.value_counts(column.combine_chunks())
    if len(counts) > MOST_VALUES:
        return []
    pairs = [(c.as_py(), v.as_py()) for v, c in zip(counts.field("values"), counts.field("counts"), strict=True)]
    common = [(n, value) for n, value in pairs if value is not None and 0.02 * len(column) < n < 0.98 * len(column)]
    common.sort(key=lambda pair: (-pair[0], str(pair[1])))
    return [SummaryColumn(name, 1.0, value) for _, value in common[:COMMON]]
