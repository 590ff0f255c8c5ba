"""Columns that are filled in after their row's time: dates that lie later, and columns that are filled only with them.

An order has `returned_at` and `refund`. Its row is visible from the order's own time on, so whoever reads these columns sees the
future. Dates that a row already knows (due, planned, one term after the row for all) are told apart from those that happen.

Invariant: detection reads values only, so an import and `dataset check` find the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.name_words import spaced

AFTER = 0.5
"""Share of the rows with a date in which it lies after the row's time, from which it is late."""
BEFORE = 0.02
"""Share in which it may lie before, by mistakes in the data."""
ONE_TERM = 0.5
"""A date at the same distance from the row's time in so many rows is a term that the row knows."""
CONSTANT = 0.9
"""A date at exactly the same distance in so many rows is computed from the row's time."""
BEYOND = 0.005
"""Dates beyond the end of all data in so many rows are plans."""
STRAY = 0.005
"""Share of rows without the date in which a coupled column may still say something."""
TELLING = 0.05
"""Share of rows with the date in which a coupled column says something."""
FEWEST = 20
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
        planned: Whether its name is that of a plan, so that it may have been known before.
    """

    table: str
    column: str
    after: float
    filled: int
    rows: int
    companions: Mapping[str, tuple[int, int]]
    planned: bool

    @property
    def evidence(self) -> str:
        said = f"after the row's time in {self.after:.1%} of the {self.filled:,} rows that have it, of {self.rows:,}"
        without = self.rows - self.filled
        for name, (there, stray) in self.companions.items():
            said += f"; {name} says something in {there:,} rows with it and in {stray:,} of the {without:,} without"
        return said + ("; it is named like a plan" if self.planned else "")


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
    for column, (after, filled, rows) in found.items():
        # a column that goes with several dates belongs to the one that the fewest rows have
        mine = {
            name: counts
            for name, counts in coupled[column].items()
            if column == min((c for c in coupled if name in coupled[c]), key=lambda c: found[c][1])
        }
        planned = _PLANNED.search(spaced(column)) is not None
        result.append(LateColumn(table, column, after, filled, rows, mine, planned))
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


def _late_date(table: str, column: str, time: str, end: int, row: Row) -> tuple[float, int, int] | None:
    """(share after, rows with the date, rows) of a date that lies late and happened, else None."""
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
    if filled < FEWEST or after < AFTER * filled or before > BEFORE * filled or beyond > BEYOND * filled or different < 3:
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
    return after / filled, filled, rows


def _coupled(
    table: str, column: str, others: Sequence[str], columns: Mapping[str, pa.DataType], row: Row
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Columns that are null, or one and the same value, where the date is missing, and something else where it is not."""
    d, relation = quoted(column), quoted(table)
    without = int(row(f"SELECT count(*) FROM {relation} WHERE {d} IS NULL")[0] or 0)  # type: ignore[call-overload]
    if without < FEWEST:
        return
    for name in others:
        c = quoted(name)
        silent = row(f"SELECT mode({c}) FROM {relation} WHERE {d} IS NULL")[0]
        says = f"{c} IS NOT NULL" if silent is None else f"{c} IS NOT NULL AND {c} <> {_literal(silent)}"
        there, filled, stray = (
            int(v)  # type: ignore[call-overload]
            for v in row(
                f"SELECT count(*) FILTER ({d} IS NOT NULL AND {says}), count({d}), "
                f"count(*) FILTER ({d} IS NULL AND {says}) FROM {relation}"
            )
        )
        if there >= TELLING * filled and stray <= STRAY * without:
            yield name, (there, stray)


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else text(str(value))
