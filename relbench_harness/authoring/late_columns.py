"""Columns that are filled in after their row's time: dates that lie later, and columns that are filled only with them.

An order has `returned_at` and `refund`. Its row is visible from the order's own time on, so whoever reads these columns sees the
future. Dates that a row already knows (due, planned, one term after the row for all) are distinguished from those that happen.

Invariant: detection reads values only, so an import and `dataset check` find the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.name_words import spaced

AFTER = 0.1
"""Share of the rows with a date in which it lies after the row's time, from which it is late; in the others it lies on its day."""
BEFORE = 0.02
"""Share in which it may lie before, by mistakes in the data."""
ONE_TERM = 0.5
"""A date at the same distance from the row's time in so many rows is a term that the row knows."""
CONSTANT = 0.9
"""A date at exactly the same distance in so many rows is computed from the row's time, and a plan lies later in so many."""
BEYOND = 0.005
"""Dates beyond the end of all data in so many rows are plans, or the data go on less long than what became of them."""
STRAY = 0.005
"""Share of rows without the date in which a coupled column may still say something."""
STATES = 20
"""A column of no more different values than this can be a state: some occur only with the date, the others only without."""
TELLING = 0.05
"""Share of rows with the date in which a coupled column says something."""
FEWEST = 10
"""Fewer rows than this decide nothing."""

_PLANNED = re.compile(
    r"due|requir|plan|expect|sched|expir|until|deadline|promis|estimat|target|valid|renew|effective|forecast"
    r"|(^|_)(start|begin|end)s?(_|$)", re.I,
)  # fmt: skip

Row = Callable[[str], tuple[object, ...]]
"""Runs SQL and returns its first row."""


@dataclass(frozen=True)
class LateColumn:
    """A date column that lies after its row's time, and the columns that are filled only where it is.

    Attributes:
        companions: Column → in how many rows with the date, and in how many without, it says something.
        planned: Why it may have been known before, so that the user decides; else nothing.
    """

    table: str
    column: str
    after: float
    filled: int
    rows: int
    companions: Mapping[str, tuple[int, int]]
    planned: str

    @property
    def evidence(self) -> str:
        said = f"after the row's time in {self.after:.1%} of the {self.filled:,} rows that have it, of {self.rows:,}"
        without = self.rows - self.filled
        for name, (there, stray) in self.companions.items():
            said += f"; {name} says something in {there:,} rows with it and in {stray:,} of the {without:,} without"
        return f"{said}; {self.planned}" if self.planned else said


class _Counts(NamedTuple):
    """Of a date: rows, those with it, and those in which it lies after the row's time and beyond the end of all data."""

    rows: int
    filled: int
    after: int
    beyond: int

    @property
    def planned(self) -> str:
        if self.beyond > BEYOND * self.filled:
            return f"{self.beyond:,} of them lie beyond the end of all data, as plans do"
        return ""


def late_columns(
    table: str, columns: Mapping[str, pa.DataType], time: str, fixed: Sequence[str], end: int, row: Row
) -> list[LateColumn]:
    """The late date columns of a table, in the order of its columns.

    Args:
        table: The relation's name, which `row`'s SQL may use.
        columns: Column types.
        time: The table's time.
        fixed: Columns that are keys and stay.
        end: The last time of any row in the data, nanoseconds.
    """
    dates = [c for c, kind in columns.items() if _is_date(kind) and c != time and c not in fixed]
    found = {c: one for c in dates if (one := _late_date(table, c, time, end, row)) is not None}
    others = [c for c in columns if c not in (*dates, time, *fixed) and _is_plain(columns[c])]
    coupled = {c: dict(_coupled(table, c, others, columns, row)) for c in found}
    result = []
    for column, counts in found.items():
        # a column that goes with several dates belongs to the one that the fewest rows have
        mine = {
            name: says
            for name, says in coupled[column].items()
            if column == min((c for c in coupled if name in coupled[c]), key=lambda c: found[c].filled)
        }
        # what other columns say only with the date has happened, however late the date lies
        planned = "" if mine else counts.planned
        if _PLANNED.search(spaced(column)) is not None:
            planned = "it is named like a plan"
        share = counts.after / counts.filled
        result.append(LateColumn(table, column, share, counts.filled, counts.rows, mine, planned))
    return result


def coupled_columns(
    table: str, column: str, columns: Mapping[str, pa.DataType], row: Row
) -> Iterator[tuple[str, tuple[int, int]]]:
    """The columns among `columns` that say something only where date `column` is filled, with the counts."""
    return _coupled(table, column, [c for c, kind in columns.items() if _is_plain(kind)], columns, row)


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind))


def _late_date(table: str, column: str, time: str, end: int, row: Row) -> _Counts | None:
    """Counts of a date that lies late and happened, or may have; else None."""
    d, t, relation = f"CAST({quoted(column)} AS TIMESTAMP)", f"CAST({quoted(time)} AS TIMESTAMP)", quoted(table)
    rows, filled, after, before, beyond, different = (
        int(v)  # type: ignore[call-overload]
        for v in row(
            f"SELECT count({t}), count({d}) FILTER ({t} IS NOT NULL), count(*) FILTER ({d} > {t}), "
            # a date without a time of day lies on the row's day, not before it
            f"count(*) FILTER ({d} < date_trunc('day', {t})), count(*) FILTER (epoch_ns({d}) > {end} + 86400000000000), "
            f"approx_count_distinct({d}) FROM {relation}"
        )
    )
    if after < max(FEWEST, AFTER * filled) or before > BEFORE * filled or different < 3:
        return None
    # plans reach beyond the end of the data, and every row has one that lies after it
    if beyond > BEYOND * filled and rows - filled < FEWEST and after >= CONSTANT * filled:
        return None
    # at one distance for nearly all (a copy in another zone, one term) nothing happened in between
    exact = row(
        f"SELECT max(n) FROM (SELECT count(*) AS n FROM {relation} WHERE {d} > {t} GROUP BY epoch_us({d}) - epoch_us({t}))"
    )[0]
    # the most common distance in days: a day or less is what happens soon, more is a term
    same, days = row(
        f"SELECT count(*) AS n, CAST(date_trunc('day', {d}) AS DATE) - CAST(date_trunc('day', {t}) AS DATE) AS days "
        f"FROM {relation} WHERE {d} > {t} GROUP BY days ORDER BY n DESC, days LIMIT 1"
    )
    if int(exact) >= CONSTANT * after or (int(same) >= ONE_TERM * after and int(days) > 1):  # type: ignore[call-overload]
        return None
    return _Counts(rows, filled, after, beyond)


def _coupled(
    table: str, column: str, others: Sequence[str], columns: Mapping[str, pa.DataType], row: Row
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Columns that are null, or one and the same value, where the date is missing, and something else where it is not; and
    states, of whose few values some occur only with the date and the others only without."""
    d, relation = quoted(column), quoted(table)
    filled, without = (int(v) for v in row(f"SELECT count({d}), count(*) - count({d}) FROM {relation}"))  # type: ignore[call-overload]
    if without < FEWEST:
        return
    for name in others:
        there, stray, values, with_it, mixed = (
            int(v or 0)  # type: ignore[call-overload]
            for v in row(
                f"WITH counted AS (SELECT {quoted(name)} AS v, count({d}) AS w, count(*) - count({d}) AS o "
                f"FROM {relation} GROUP BY v), "
                "usual AS (SELECT v FROM counted WHERE v IS NOT NULL AND o > 0 ORDER BY o DESC, v LIMIT 1), "
                "says AS (SELECT *, v IS NOT NULL AND v IS DISTINCT FROM (SELECT v FROM usual) AS said FROM counted) "
                "SELECT sum(w) FILTER (said), sum(o) FILTER (said), count(v), sum(w) FILTER (w > o AND v IS NOT NULL), "
                "sum(least(w, o)) FROM says"
            )
        )
        if there >= TELLING * filled and stray <= STRAY * without:
            yield name, (there, stray)
        elif values <= STATES and with_it >= (1 - STRAY) * filled and mixed <= STRAY * min(filled, without):
            yield name, (with_it, mixed)
