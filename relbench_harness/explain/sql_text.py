"""Columns of an explanation as SQL in DuckDB's dialect, over the tables of a database by name.

A query reads a relation `seeds` with a line per example: its number `seed`, the key of its `entity`, and its `cutoff`. That is the form of
hand-written features too, so that a query can be given to trees as it is. Invariant: no row counts that is not older than the cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.database import Database
from relbench_harness.data.query import free, quoted
from relbench_harness.data.task import Task
from relbench_harness.explain.sql_columns import OwnColumn, RowsColumn, ViewColumn
from relbench_harness.features.encode import DAY, physical
from relbench_harness.features.series import TableSeries

SEEDS = "seeds"


@dataclass(frozen=True)
class SqlView:
    """SQL about one task.

    Attributes:
        seeds: What the relation of examples is called: `seeds`, unless a table has that name.
    """

    database: Database
    task: Task

    @property
    def seeds(self) -> str:
        return free(SEEDS, self.database)

    def of(self, column: ViewColumn) -> str:
        """One column: `seed` and the value under the column's name, for each seed that has one."""
        return self._own(column) if isinstance(column, OwnColumn) else self._below(column)

    def together(self, columns: Sequence[ViewColumn]) -> str:
        """All columns: one line per seed."""
        names = [free(f"column_{place}", [*self.database, self.seeds]) for place in range(1, len(columns) + 1)]
        parts = [f"{name} AS (\n{_indented(self.of(one))}\n)" for name, one in zip(names, columns, strict=True)]
        shown = [f"  {self._picked(name, one)} AS {quoted(one.name)}" for name, one in zip(names, columns, strict=True)]
        joins = [f"LEFT JOIN {name} ON {name}.seed = s.seed" for name in names]
        begin = f"WITH {', '.join(parts)}\n" if parts else ""
        return "\n".join([f"{begin}SELECT\n{_listed(['  s.seed', *shown])}", f"FROM {self.seeds} AS s", *joins])

    def runnable(self, columns: Sequence[ViewColumn], cutoff: int) -> str:
        """All columns for every entity as of `cutoff` (nanoseconds), with nothing to be given."""
        entity = self.database[self.task.entity_table]
        at = f"TIMESTAMP '{pd.Timestamp(cutoff)}'"
        seeds = (
            f"{self.seeds} AS (\n  SELECT ROW_NUMBER() OVER (ORDER BY {quoted(entity.key or '')}) - 1 AS seed, "
            f"{quoted(entity.key or '')} AS entity, {at} AS cutoff\n  FROM {quoted(entity.name)}\n)"
        )
        query = self.together(columns)
        return f"WITH {seeds}, {query.removeprefix('WITH ')}" if columns else f"WITH {seeds}\n{query}"

    def _picked(self, name: str, column: ViewColumn) -> str:
        value = f"{name}.{quoted(column.name)}"
        return f"COALESCE({value}, 0)" if isinstance(column, RowsColumn) and column.aggregate == "rows" else value

    def _own(self, column: OwnColumn) -> str:
        entity = self.database[self.task.entity_table]
        joins = [f"JOIN {quoted(entity.name)} AS e ON e.{quoted(entity.key or '')} = s.entity"]
        if column.key is not None:
            parent = self.database[column.table]
            older = parent.time is not None and not self.task.own_row_visible
            seen = f" AND p.{quoted(parent.time or '')} < s.cutoff" if older else ""
            joins.append(
                f"JOIN {quoted(parent.name)} AS p ON p.{quoted(parent.key or '')} = e.{quoted(column.key.column)}{seen}"
            )
        alias = "e" if column.key is None else "p"
        value = self._number(column.table, column.value, alias)
        if column.is_date:
            value = _days("s.cutoff", f"CAST({alias}.{quoted(column.value.column)} AS TIMESTAMP)")
        return "\n".join([f"SELECT s.seed, {value} AS {quoted(column.name)}", f"FROM {self.seeds} AS s", *joins])

    def _below(self, column: RowsColumn) -> str:
        """The rows of a path, those nearest the entity joined first; `r` is the row that is aggregated."""
        keys = list(reversed(column.path.keys))
        aliases = [*(f"m{step}" for step in range(1, len(keys))), "r"]
        lines, times, above = [f"FROM {self.seeds} AS s"], list[str](), "s.entity"
        for key, alias in zip(keys, aliases, strict=True):
            table = self.database[key.child]
            seen = f" AND {alias}.{quoted(table.time)} < s.cutoff" if table.time is not None else ""
            lines.append(f"JOIN {quoted(table.name)} AS {alias} ON {alias}.{quoted(key.column)} = {above}{seen}")
            above = f"{alias}.{quoted(table.key or '')}"
            times += [f"{alias}.{quoted(table.time)}"] if table.time is not None else []
        at = times[0] if len(times) == 1 else f"GREATEST({', '.join(reversed(times))})"
        if column.window.days is not None:
            lines.append(f"WHERE {at} >= s.cutoff - {_interval(column.window.days)}")
        table, value = self.database[column.path.table], column.value
        given = at if value is None else self._number(table.name, value, "r")
        if column.window.rows is None:
            return "\n".join(
                [f"SELECT s.seed, {_aggregate(column, given)} AS {quoted(column.name)}", *lines, "GROUP BY s.seed"]
            )
        rank = f"ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY {at} DESC, {above} DESC)"
        inner = "\n".join([f"SELECT s.seed, {given} AS value", *lines, f"QUALIFY {rank} <= {column.window.rows}"])
        outer = f"SELECT seed, {_aggregate(column, 'value')} AS {quoted(column.name)}"
        return f"{outer}\nFROM (\n{_indented(inner)}\n)\nGROUP BY seed"

    def _number(self, table: str, value: TableSeries, alias: str) -> str:
        """The number of a row, NULL where features see none."""
        column = f"{alias}.{quoted(value.column)}"
        kind = physical(self.database[table].rows.column(value.column)).type
        if value.null:
            gone = f"{column} IS NULL" + (f" OR ISNAN({column})" if pa.types.is_floating(kind) else "")
            return f"CASE WHEN {gone} THEN 1.0 ELSE 0.0 END"
        if value.value is not None:
            text = "'" + value.value.replace("'", "''") + "'"
            return f"CASE WHEN CAST({column} AS VARCHAR) = {text} THEN 1.0 ELSE 0.0 END"
        number = f"CAST({column} AS DOUBLE)"
        if pa.types.is_floating(kind) and not self._is_finite(table, value.column):
            return f"CASE WHEN ISFINITE({number}) THEN {number} END"
        return number

    def _is_finite(self, table: str, column: str) -> bool:
        values = physical(self.database[table].rows.column(column))
        return bool(pc.all(pc.is_finite(values.drop_null())).as_py() or not len(values))


def _aggregate(column: RowsColumn, value: str) -> str:
    if column.aggregate == "rows":
        return "COUNT(*)"
    if column.aggregate == "days since last":
        return _days("MAX(s.cutoff)", f"MAX({value})")
    if column.aggregate == "days since first":
        return _days("MAX(s.cutoff)", f"MIN({value})")
    if column.aggregate == "days between":
        return f"CASE WHEN COUNT(*) > 1 THEN {_days(f'MAX({value})', f'MIN({value})')} / (COUNT(*) - 1) END"
    return f"{ {'mean': 'AVG', 'min': 'MIN', 'max': 'MAX'}[column.aggregate] }({value})"


def _days(later: str, earlier: str) -> str:
    return f"(EPOCH({later}) - EPOCH({earlier})) / 86400"


def _interval(days: float) -> str:
    whole = int(np.round(days * DAY)) // 1000
    return f"INTERVAL '{days:g} days'" if float(days).is_integer() else f"INTERVAL '{whole} microseconds'"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _listed(lines: Sequence[str]) -> str:
    return ",\n".join(lines)
