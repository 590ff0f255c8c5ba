"""The numbers that rows of a child table carry through time: what windows average.

Numbers as they are, nulls and frequent categories as 0/1 (their mean is a share), and the same of the rows' parents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.features.encode import ColumnKind, frequent, kind_of, numbers, physical
from relbench_harness.features.origin import Origin
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import Route
from relbench_harness.temporal.visibility import there_by


@dataclass(frozen=True)
class TableSeries:
    """One number per row of a table.

    Attributes:
        key: The foreign key over which the column's table is reached, None for the row's own column.
        value: For a share: the category (or whole number) whose share is meant.
        null: For a share of missing values.
    """

    column: str
    key: str | None = None
    value: str | None = None
    null: bool = False

    @property
    def name(self) -> str:
        name = self.column if self.key is None else f"{self.key}.{self.column}"
        return f"{name} missing" if self.null else name if self.value is None else f"{name}={self.value}"

    @property
    def is_share(self) -> bool:
        return self.null or self.value is not None

    def origin(self, table: Table, route: Route) -> Origin:
        """Where the numbers of `table`, which `route` leads to, come from."""
        if self.key is None:
            return Origin(table.name, self.column, route)
        parent = table.references[self.key]
        return Origin(parent, self.column, route.up(ForeignKey(table.name, self.key, parent)))

    def read(self, database: Database, table: Table, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """(rows,) the numbers, NaN where missing or where the parent only appears after `at` (rows,), the row's time."""
        source = table if self.key is None else database[table.references[self.key]]
        values = self._of(source.rows.column(self.column))
        if self.key is None:
            return values
        parents = table.parents(self.key)
        if not len(values):
            return np.full(len(parents), np.nan)
        # a row that can be seen before its parent must not show the parent; at equal times both are seen together
        return np.where(there_by(source, parents, at), values[parents], np.nan)

    def _of(self, values: pa.ChunkedArray) -> NDArray[np.float64]:
        if self.null:
            return np.asarray(pc.is_null(values, nan_is_null=True).to_numpy(), dtype=np.float64)
        if self.value is not None:
            texts = physical(values).cast(pa.large_string())
            return np.asarray(pc.fill_null(pc.equal(texts, self.value), False).to_numpy(), dtype=np.float64)
        return numbers(values)


@dataclass(frozen=True)
class SeriesChoice:
    """Which series a table offers.

    Attributes:
        shares: How many frequent categories of a column become shares.
        few: A whole-number column with at most this many different values also gives shares.
        parents: Whether columns of the rows' parents count.
    """

    shares: int = 3
    few: int = 200
    parents: bool = False

    def of(self, known: Database, name: str, without: frozenset[str]) -> tuple[TableSeries, ...]:
        """The series of table `name`, chosen on known rows; `without` are foreign keys that lead back to the entity."""
        table = known[name]
        chosen = [s for column in table.attributes for s in self._column(table, column, None)]
        if self.parents:
            for key, parent in table.references.items():
                if key not in without:
                    chosen += [s for c in known[parent].attributes for s in self._column(known[parent], c, key)]
        return tuple(chosen)

    def _column(self, table: Table, column: str, key: str | None) -> list[TableSeries]:
        values = table.rows.column(column)
        if not len(values):
            return []
        kind = kind_of(table, column)
        if kind is ColumnKind.CATEGORY:
            return [TableSeries(column, key, value) for value in frequent(values, self.shares)]
        if kind is not ColumnKind.NUMBER:
            return []
        found = [TableSeries(column, key)]
        if values.null_count and key is None:
            found.append(TableSeries(column, key, null=True))
        if pa.types.is_integer(physical(values).type) and key is None:
            different = len(pc.unique(values.drop_null()))
            if 2 < different <= min(self.few, len(values) // 20):
                found += [TableSeries(column, key, value) for value in frequent(values, self.shares)]
        return found
