"""A row's numbers against its parents': a price against the list price, a flight's minutes against the planned ones.

Where a number nearly follows from a parent's, the residual is what is new, and it is lost in a sum of two numbers that each range
over decades. It is read off a regression line, fitted on rows visible at the end of training, minus the trailing mean of the
residuals: where all prices rise, every later one would look dear. A parent counts where it is no younger than its child, so a
residual is visible wherever the row is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.database import Database
from relbench_harness.graph.layout import Layout
from relbench_harness.graph.number_encoders import CLIP
from relbench_harness.graph.row_batch import Key, Rows
from relbench_harness.temporal.paths import ForeignKey, foreign_keys
from relbench_harness.temporal.trailing_mean import trailing_mean
from relbench_harness.temporal.visibility import older_parents, span_of

Floats = NDArray[np.float64]
SAMPLE = 20_000
"""Rows by which a pair of columns is judged."""
FEWEST = 100
"""With fewer rows nothing is fitted."""
LEAST_EXPLAINED = 0.5
"""Share of a column's variance that the parent's must explain."""
COPY = 1e-6
"""Where a smaller share of the variance is left, a column is a copy of the parent's."""
TRAILING_SHARE = 1 / 32
"""The part of the span of training over which the trailing mean is taken, and at least `TRAILING_ROWS`."""
TRAILING_ROWS = 200


class Column(NamedTuple):
    """A column of a table."""

    table: str
    name: str


@dataclass(frozen=True)
class Regression:
    """The line from a parent's column to the row's.

    Attributes:
        logarithmic: Whether it is a line between the logarithms.
        deviation: Of the residuals, their unit.
    """

    own: Column
    parent: Column
    logarithmic: bool
    slope: float
    intercept: float
    deviation: float

    def residual(self, own: Floats, parent: Floats) -> Floats:
        """(n,) from the numbers as they are; NaN where one of them is missing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.logarithmic:
                own, parent = np.log(own), np.log(parent)
            residual = (own - self.intercept - self.slope * parent) / self.deviation
        return np.where(np.isfinite(residual), residual, np.nan).clip(-CLIP, CLIP)


@dataclass(frozen=True)
class ParentResiduals:
    """The residuals worth reading.

    Attributes:
        lines: Foreign key → its regressions, for keys that have any.
        layouts: Table → what its records hold.
        window: Nanoseconds before a row over which the trailing mean is taken.
    """

    lines: Mapping[ForeignKey, tuple[Regression, ...]]
    layouts: Mapping[str, Layout]
    window: int

    @classmethod
    def fit(cls, known: Database, layouts: Mapping[str, Layout]) -> ParentResiduals:
        """For each column of a row that a column of one of its parents explains well, judged by some rows of `known`."""
        found = {key: _regressions(known, layouts, key) for key in foreign_keys(known)}
        return cls({key: some for key, some in found.items() if some}, layouts, int(TRAILING_SHARE * span_of(known)))

    @classmethod
    def none(cls) -> ParentResiduals:
        """No residuals at all."""
        return cls({}, {}, 0)

    @property
    def widths(self) -> dict[Key, int]:
        """(child, column) → how many residuals a link carries."""
        return {(key.child, key.column): len(some) for key, some in self.lines.items()}

    def columns_of(self, table: str) -> tuple[str, ...]:
        """The column of each residual of a row of `table`, in the order of `BoundResiduals.columns`."""
        return tuple(line.own.name for key, lines in self.lines.items() if key.child == table for line in lines)

    def bind(self, database: Database) -> BoundResiduals:
        """The residuals of every row of `database`."""
        values = {}
        for key, lines in self.lines.items():
            table = database[key.child]
            older = older_parents(database, key)
            found = values[key.child, key.column] = spacious((len(table), len(lines)), np.float32)
            for n, line in enumerate(lines):
                own = _numbers(database, self.layouts, line.own)
                parent = _numbers(database, self.layouts, line.parent)
                residual = line.residual(own, np.append(parent, np.nan)[older])
                if table.times is not None:
                    residual -= trailing_mean(residual, table.times, self.window, TRAILING_ROWS)
                found[:, n] = residual
        return BoundResiduals(values)


@dataclass(frozen=True)
class BoundResiduals:
    """The residuals of every row of a database.

    Attributes:
        values: Key → (rows of the child, residuals); NaN where nothing can be compared.
    """

    values: Mapping[Key, NDArray[np.float32]]

    def count(self, table: str) -> int:
        """How many residuals a row of `table` has, over all its keys."""
        return sum(found.shape[1] for (child, _), found in self.values.items() if child == table)

    def columns(self, table: str) -> Iterator[Floats]:
        """(rows,) of the whole of `table` for each of its residuals."""
        for (child, _), found in self.values.items():
            if child == table:
                yield from (column.astype(np.float64) for column in found.T)

    def of_copies(self, database: Database, sources: Mapping[str, Rows]) -> BoundResiduals:
        """The residuals of copies of rows; of a copy without its parent there is nothing to compare.

        Args:
            database: Of the copies.
            sources: Table → (m,) the row that each is a copy of.
        """
        values = {}
        for key in foreign_keys(database):
            name = key.child, key.column
            if name in self.values:
                found = self.values[name][sources[key.child]]
                found[older_parents(database, key) < 0] = np.nan
                values[name] = found
        return BoundResiduals(values)

    def read(self, key: Key, rows: Rows) -> NDArray[np.float32]:
        """(rows, residuals) along `key`, 0 where nothing can be compared."""
        return np.nan_to_num(self.values[key][rows], copy=False)


def _regressions(known: Database, layouts: Mapping[str, Layout], key: ForeignKey) -> tuple[Regression, ...]:
    """The lines from the columns of `key`'s parents to those of its rows that explain enough."""
    own_columns = [Column(key.child, name) for name in layouts[key.child].plain_numbers]
    parent_columns = [Column(key.parent, name) for name in layouts[key.parent].plain_numbers]
    if not own_columns or not parent_columns:
        return ()
    older = older_parents(known, key)
    rows = np.flatnonzero(older >= 0)
    if len(rows) < FEWEST:
        return ()
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64))]
    parents = {column: _numbers(known, layouts, column, older[rows]) for column in parent_columns}
    found = []
    for column in own_columns:
        own = _numbers(known, layouts, column, rows)
        lines = (_line(column, parent, own, other) for parent, other in parents.items())
        found += [line for line in lines if line is not None]
    return tuple(found)


def _numbers(
    database: Database, layouts: Mapping[str, Layout], column: Column, rows: NDArray[np.integer] | None = None
) -> Floats:
    """(rows,) a column's numbers, within the range that its encoder knows, NaN for null."""
    values = database[column.table].rows.column(column.name)
    values = values if rows is None else values.take(pa.array(rows))
    _, encoder = layouts[column.table].plain_numbers[column.name]
    return encoder.decode(encoder.encode(values.combine_chunks())[:, 0])


def _line(column: Column, other: Column, own: Floats, parent: Floats) -> Regression | None:
    """The better of the lines through the numbers and through their logarithms, where it explains enough and not all."""
    there = np.isfinite(own) & np.isfinite(parent)
    own, parent = own[there], parent[there]
    if len(own) < FEWEST:
        return None
    most, best = LEAST_EXPLAINED, None
    for logarithmic in (False, True) if own.min() > 0 and parent.min() > 0 else (False,):
        x, y = (np.log(parent), np.log(own)) if logarithmic else (parent, own)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        slope = float(np.cov(x, y, ddof=0)[0, 1] / x.var())
        intercept = float(y.mean() - slope * x.mean())
        left = float((y - intercept - slope * x).var() / y.var())
        if left > COPY and most <= 1 - left:
            most = 1 - left
            best = Regression(column, other, logarithmic, slope, intercept, float((left * y.var()) ** 0.5))
    return best
