"""Columns of which an explanation as SQL is made: a path, a window and an aggregate each, with their values.

Invariant: a column that blocks of features have too has their name and their values, and `sql_text` gives the same numbers in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.stypes import is_text
from relbench_harness.data.table import Table
from relbench_harness.features.encode import DAY, MISSING, ColumnKind, frequent, instants, kind_of, physical
from relbench_harness.features.series import TableSeries
from relbench_harness.features.windows import FittedWindows, Windows
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import ForeignKey, KeyPath
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.visibility import own_parents

Floats = NDArray[np.float64]
Aggregate = Literal["rows", "days since last", "days since first", "days between", "mean", "min", "max"]
TIMES: tuple[Aggregate, ...] = ("days since last", "days since first", "days between")
SHARES = 3
"""Frequent values of a category of the own row that become columns."""
MOST = 1500


@dataclass(frozen=True)
class Window:
    """Which of the visible rows count: all, the last `rows`, or those of the last `days`."""

    rows: int | None = None
    days: float | None = None

    @property
    def name(self) -> str:
        """As windows call it; empty where all rows count."""
        return f"last {self.rows}" if self.rows is not None else f"{self.days:g}d" if self.days is not None else ""


ALL = Window()


@dataclass(frozen=True)
class RowsColumn:
    """An aggregate of the rows that belong to an entity.

    Attributes:
        value: What is aggregated; None where the rows themselves are counted, or their times.
    """

    path: KeyPath
    aggregate: Aggregate
    value: TableSeries | None = None
    window: Window = ALL

    @property
    def name(self) -> str:
        """As `features.windows` calls it."""
        parts = (self.path.name, "" if self.value is None else self.value.name, self.aggregate, self.window.name)
        return " ".join(filter(None, parts))


@dataclass(frozen=True)
class OwnColumn:
    """A value of the entity's own row, or of a parent that it names.

    Attributes:
        key: The foreign key of the parent, None for the own row.
        value: What is read; its own `key` is not used.
        is_date: Whether it is an instant, whose age in days counts.
    """

    table: str
    value: TableSeries
    key: ForeignKey | None = None
    is_date: bool = False

    @property
    def name(self) -> str:
        name = self.value.name if self.key is None else f"{self.key.column}.{self.value.name}"
        return f"{name} age in days" if self.is_date else name


ViewColumn = RowsColumn | OwnColumn


def candidates_of(train: Examples, hops: int = 2) -> tuple[ViewColumn, ...]:
    """What is tried: own values, parents' values and window aggregates of rows at most `hops` keys below the entity."""
    own = train.task.entity_table
    found: list[ViewColumn] = list(_own(train, own, None))
    for column, parent in train.database[own].references.items():
        found += _own(train, parent, ForeignKey(own, column, parent))
    fitted = Windows(hops=hops).fit(train)
    for path, series in fitted.paths:
        if len(train.known[path.table]):
            found += _below(train, fitted, path, series)
    return tuple({one.name: one for one in found}.values())[:MOST]


def _own(train: Examples, name: str, key: ForeignKey | None) -> Iterator[OwnColumn]:
    table = train.known[name]
    for column in table.attributes:
        values = table.rows.column(column)
        kind = kind_of(table, column) if len(values) else None
        if kind is ColumnKind.CATEGORY and _is_plain(table, column, "share"):
            yield from (OwnColumn(name, TableSeries(column, value=value), key) for value in frequent(values, SHARES))
        elif kind is ColumnKind.NUMBER and _is_plain(table, column, "number"):
            yield OwnColumn(name, TableSeries(column), key)
        elif kind is ColumnKind.INSTANT and _is_plain(table, column, "date"):
            yield OwnColumn(name, TableSeries(column), key, is_date=True)


def _below(train: Examples, fitted: FittedWindows, path: KeyPath, series: Sequence[TableSeries]) -> Iterator[RowsColumn]:
    table = train.known[path.table]
    timed = all(train.database[name].time is not None for name in path.tables)
    days = [Window(days=one) for one in fitted.days] if timed else []
    # what is last among rows of one instant is decided by their key
    last = [Window(rows=one) for one in fitted.windows.rows] if timed and table.key is not None else []
    yield from (RowsColumn(path, "rows", None, window) for window in (ALL, *days))
    yield from (RowsColumn(path, one) for one in TIMES if timed)
    for one in series:
        if not _is_plain(table, one.column, "share" if one.value is not None else "null" if one.null else "number"):
            continue
        yield from (RowsColumn(path, "mean", one, window) for window in (ALL, *days, *last))
        if not one.is_share:
            yield from (RowsColumn(path, "min", one, window) for window in last[-3::2])
            yield from (RowsColumn(path, "max", one, window) for window in last[-3::2])


def _is_plain(table: Table, column: str, wanted: Literal["share", "null", "number", "date"]) -> bool:
    """Whether SQL reads a column as features do, without parsing and without a type of its own."""
    kind = physical(table.rows.column(column)).type
    if wanted == "null":
        return True
    if wanted == "share":
        return bool(is_text(kind) or pa.types.is_integer(kind))
    if wanted == "date":
        return bool(pa.types.is_date(kind)) or bool(pa.types.is_timestamp(kind) and kind.tz is None)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number or pa.types.is_boolean(kind))


def values_of(columns: Sequence[ViewColumn], examples: Examples) -> Floats:
    """(n, columns) values, NaN where missing; each path is followed once."""
    found = np.full((len(examples), len(columns)), np.nan)
    paths: dict[KeyPath, list[int]] = {}
    for place, column in enumerate(columns):
        if isinstance(column, RowsColumn):
            paths.setdefault(column.path, []).append(place)
        else:
            found[:, place] = _own_values(column, examples)
    for path, places in paths.items():
        rows = _Rows(path, examples)
        for place in places:
            column = columns[place]
            assert isinstance(column, RowsColumn)
            found[:, place] = rows.aggregated(column)
    return found


def _own_values(column: OwnColumn, examples: Examples) -> Floats:
    table = examples.database[column.table]
    rows = examples.entity if column.key is None else own_parents(examples, column.key)
    if not len(table):
        return np.full(len(examples), np.nan)
    if column.is_date:
        at = instants(table.rows.column(column.value.column))[rows]
        days = (examples.cutoff - at) / DAY
        return np.where((rows >= 0) & (at != MISSING), days, np.nan)
    values = column.value.read(examples.database, table, examples.cutoff)
    return np.where(rows >= 0, values[rows], np.nan)


class _Rows:
    """The rows along a path that examples see."""

    def __init__(self, path: KeyPath, examples: Examples) -> None:
        self._examples, self._table = examples, examples.database[path.table]
        self._history = History.along(examples.database, path)
        self._seen = self._history.seen(examples.entity, examples.cutoff)
        self._series: dict[TableSeries, Floats] = {}

    def aggregated(self, column: RowsColumn) -> Floats:
        first, last = self._within(column.window)
        if column.aggregate == "rows":
            return (last - first).astype(np.float64)
        if column.value is None:
            return self._days(column.aggregate, first, last)
        if not len(self._history.rows):
            return np.full(len(first), np.nan)
        if column.value not in self._series:
            read = column.value.read(self._examples.database, self._table, self._history.available)
            self._series[column.value] = read
        series = self._history.series(self._series[column.value])
        if column.aggregate == "mean":
            return series.mean(self._examples.entity, Stretch(first, last))
        low, high = series.extremes(self._seen, column.window.rows or 1)
        return low if column.aggregate == "min" else high

    def _within(self, window: Window) -> Stretch:
        first, last = self._seen
        if window.rows is not None:
            return Stretch(np.maximum(last - window.rows, first), last)
        if window.days is None:
            return self._seen
        begin = self._history.seen(self._examples.entity, self._examples.cutoff - round(window.days * DAY)).last
        return Stretch(begin, last)

    def _days(self, aggregate: Aggregate, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
        some, available, now = last > first, self._history.available, self._examples.cutoff
        if not len(available):
            return np.full(len(first), np.nan)
        newest, oldest = available[np.where(some, last - 1, 0)], available[np.where(some, first, 0)]
        if aggregate == "days between":
            return np.where(last - first > 1, (newest - oldest) / DAY / np.maximum(last - first - 1, 1), np.nan)
        return np.where(some, (now - (newest if aggregate == "days since last" else oldest)) / DAY, np.nan)
