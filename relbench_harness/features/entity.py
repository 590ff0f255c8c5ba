"""Features of an example itself: the attributes of its own row and the calendar of its time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.table import Table
from relbench_harness.features.block import Column, Features, sourced
from relbench_harness.features.encode import DAY, HOUR, Encoder, date_parts, fit_encoders
from relbench_harness.features.origin import TIME, Origin
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.routes import Route
from relbench_harness.temporal.visibility import gather, own_parents, visible_parents


@dataclass(frozen=True)
class EntityColumns:
    """The attributes of the example's own row and of the parents that its foreign keys name.

    A parent with a time of its own counts only if it is older than the example's cut-off, except where the task shows
    the own row's parents (autocomplete).

    Attributes:
        hops: How far to follow foreign keys: 1 are parents, 2 also their parents.
        most_categories: How many categories of a column get a code.
    """

    hops: int = 2
    most_categories: int = 1000

    def fit(self, train: Examples) -> FittedEntityColumns:
        known = train.known
        encoders = {name: fit_encoders(table, self.most_categories) for name, table in known.items()}
        return FittedEntityColumns(self.hops, encoders)


@dataclass(frozen=True)
class FittedEntityColumns:
    hops: int
    encoders: dict[str, tuple[Encoder, ...]]

    def transform(self, examples: Examples) -> Features:
        columns: list[Column] = []
        self._add(columns, examples, (examples.task.entity_table, Route()), examples.entity, "")
        return Features(len(examples), tuple(columns))

    def _add(
        self,
        columns: list[Column],
        examples: Examples,
        where: tuple[str, Route],
        rows: NDArray[np.int64],
        prefix: str,
    ) -> None:
        name, route = where
        table = examples.database[name]
        columns.extend(self._row((table, route), self.encoders[name], rows, examples, prefix))
        if route.hops < self.hops:
            for column, parent in table.references.items():
                key = ForeignKey(name, column, parent)
                named = visible_parents(examples, key, rows) if prefix else own_parents(examples, key)
                self._add(columns, examples, (parent, route.up(key)), named, f"{prefix}{column}.")

    @staticmethod
    def _row(
        where: tuple[Table, Route],
        encoders: tuple[Encoder, ...],
        rows: NDArray[np.int64],
        examples: Examples,
        prefix: str,
    ) -> list[Column]:
        (table, route), columns = where, list[Column]()
        if table.times is not None and table.time is not None and not (examples.task.own_row_visible and not prefix):
            age = np.where(rows >= 0, (examples.cutoff - gather(table.times, rows)) / DAY, np.nan)
            columns.append(Column(f"{prefix}{table.time}.age", age, origins=(Origin(table.name, table.time, route),)))
        for encoder in encoders:
            if encoder.column in table.rows.column_names:
                found = encoder.columns(table.rows.column(encoder.column), rows, examples.cutoff, prefix)
                columns.extend(sourced(found, Origin(table.name, encoder.column, route)))
        return columns


@dataclass(frozen=True)
class Calendar:
    """The example's time (month, day of the month, weekday, hour) and how stale the database is (days).

    A part of the calendar is a feature only if training saw its values come back. Where examples are asked at six times,
    the weekday tells which of the six it was, and what is learned of it never happens again.

    Attributes:
        returns: In how many years each month, months each day, weeks each weekday, days each hour must have been met, on
            average.
    """

    returns: int = 3

    def fit(self, train: Examples) -> FittedCalendar:
        time = np.unique(train.time)
        parts, periods = _calendar_parts(time), _periods(time)
        return FittedCalendar(tuple(p for p in parts if _recurs(parts[p], periods[p], self.returns)))


@dataclass(frozen=True)
class FittedCalendar:
    """The parts of the calendar that came back."""

    parts: tuple[str, ...]

    def transform(self, examples: Examples) -> Features:
        found = _calendar_parts(examples.time)
        columns = [Column(f"question.{part}", found[part]) for part in self.parts]
        columns.append(Column("question.staleness", (examples.time - examples.cutoff) / DAY))
        return Features(len(examples), tuple(sourced(columns, Origin(None, TIME))))


def _calendar_parts(time: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    return date_parts(time) | {"hour": (time // HOUR % 24).astype(np.float64)}


def _periods(time: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """The period within which each part of the calendar runs through its values once, numbered."""
    dates, days = time.view("datetime64[ns]"), (time // DAY).astype(np.float64)
    return {
        "month": dates.astype("datetime64[Y]").astype(np.float64),
        "day": dates.astype("datetime64[M]").astype(np.float64),
        "weekday": days - date_parts(time)["weekday"],
        "hour": days,
    }


def _recurs(values: NDArray[np.float64], periods: NDArray[np.float64], returns: int) -> bool:
    """Whether there is more than one value, and each was met in at least `returns` periods on average."""
    different = len(np.unique(values))
    return different > 1 and len(np.unique(np.stack([values, periods]), axis=1).T) >= returns * different
