"""What a data scientist writes first about an entity's child tables: how many rows, how recently, and their usual numbers.

With the entity's own columns and past labels these are the plain reference that every other method is held against. Invariant: a
row counts only if it is older than the example's cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relbench_harness.features.block import Column, Features, sourced
from relbench_harness.features.encode import DAY, ColumnKind, kind_of, numbers
from relbench_harness.features.origin import Origin
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import KeyPath, child_paths
from relbench_harness.temporal.routes import Route
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.visibility import ALWAYS, days_before, gather


@dataclass(frozen=True)
class ChildStatistics:
    """Per child table: all rows, rows of the last Δ and 4 Δ, days since the last one, means of numbers over the last 4 Δ.

    Attributes:
        horizons: Lengths of the windows that rows are counted in, in multiples of Δ, which is at least a day here; means are
            taken over the last of them.
        most_numbers: Of how many numeric columns of a table means are taken, the first ones.
    """

    horizons: tuple[int, ...] = (1, 4)
    most_numbers: int = 8

    def fit(self, train: Examples) -> FittedChildStatistics:
        known = train.known
        tables = []
        for path in child_paths(train.database, train.task.entity_table, 1):
            table = known[path.table]
            numeric = [c for c in table.attributes if len(table) and kind_of(table, c) is ColumnKind.NUMBER]
            tables.append((path, tuple(numeric[: self.most_numbers])))
        horizon = max(train.task.horizon.value, DAY)
        return FittedChildStatistics(tuple(tables), tuple(n * horizon for n in self.horizons))


@dataclass(frozen=True)
class FittedChildStatistics:
    """Attributes: tables: Paths to the child tables, and the numeric columns of each; windows: Nanoseconds, ascending."""

    tables: tuple[tuple[KeyPath, tuple[str, ...]], ...]
    windows: tuple[int, ...]

    def transform(self, examples: Examples) -> Features:
        columns = [column for path, numeric in self.tables for column in self._table(examples, path, numeric)]
        return Features(len(examples), tuple(columns))

    def _table(self, examples: Examples, path: KeyPath, numeric: tuple[str, ...]) -> Iterator[Column]:
        history = History.along(examples.database, path)
        first, last = history.seen(examples.entity, examples.cutoff)
        route = Route().down(path)
        there = (Origin(path.table, None, route),)
        yield Column(f"{path.name} rows", (last - first).astype(np.float64), origins=there)
        begin = first
        if any(examples.database[table].time is not None for table in path.tables):
            for length in self.windows:
                begin = history.seen(examples.entity, examples.cutoff - length).last
                yield Column(f"{path.name} rows {length / DAY:g}d", (last - begin).astype(np.float64), origins=there)
            latest = gather(history.available, np.where(last > first, last - 1, -1), ALWAYS)
            since = Column(f"{path.name} days since the last", days_before(latest, examples.cutoff))
            yield from sourced([since], Origin(path.table, examples.database[path.table].time, route))
        rows = examples.database[path.table].rows
        for column in numeric:
            mean = history.series(numbers(rows.column(column))).mean(examples.entity, Stretch(begin, last))
            yield Column(f"{path.name} {column} mean", mean, origins=(Origin(path.table, column, route),))
