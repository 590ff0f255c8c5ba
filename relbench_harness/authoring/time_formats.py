"""Columns whose numbers or texts are times in a form that no type says: seconds since 1970, 20240131, 240131, 31/01/2024.

Such a column is read as times where an option says so, or where its name speaks of time and all its values lie in the years
that the form is used for. A year is only proposed: what its row says may be known at its end alone. Its original text stays beside, since keys are compared as the source wrote them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb
import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.name_words import has_key_suffix, spaced
from relbench_harness.authoring.staging import Staged
from relbench_harness.authoring.text_times import Reading, retype
from relbench_harness.errors import InputError, nearest

EPOCHS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
"""Units of a count since 1970, in nanoseconds."""
DAY = "%Y%m%d"
SHORT_DAY = "%y%m%d"
YEAR = "%Y"
_SPEC = re.compile(r"(.*?):(epoch_\w*|[^:]*%.*)", re.S)
_NAME = re.compile(
    r"(^|_)(date|time|timestamp|datetime|at|on|when|created|ts|occurred|posted|epoch|unix|unixtime|mtime|ctime|dt|day)(_|$)",
    re.I,
)
_FIRST, _LAST = pd.Timestamp("1990-01-01").value, pd.Timestamp("2040-01-01").value


@dataclass(frozen=True)
class Recognised:
    """A column that looks like times of `format`; `sure` where its name says so, too."""

    column: str
    format: str
    sure: bool
    evidence: str


def split_format(spec: str) -> tuple[str, str | None]:
    """`column:format` as the two; None where no format is named."""
    match = _SPEC.fullmatch(spec)
    return (match[1], match[2]) if match else (spec, None)


def check_format(option: str, form: str) -> None:
    """Raise `InputError` unless `form` is one."""
    if form not in EPOCHS and "%" not in form:
        raise InputError(f"{option}: no format {form!r}; {nearest(form, [*EPOCHS, DAY])}")
    try:
        if form not in EPOCHS:
            duckdb.execute(f"SELECT try_strptime('', {text(form)})").fetchall()
    except duckdb.Error as error:
        raise InputError(f"{option}: the format cannot be used: {' '.join(str(error).split())[:200]}") from None


def recognised(staged: Staged, bench: Workbench) -> list[Recognised]:
    """The columns of numbers whose values all lie where times of one format would."""
    table = staged.name
    # a `date_key` of 20240131 names a row of a table of dates; a `yearID` is a year
    kinds = {
        f.name: ColumnProfile(f.name, f.type, 0, 0, 0).kind
        for f in staged.schema
        if not has_key_suffix(f.name) or _YEARS.search(spaced(f.name))
    }
    numbers = [name for name, kind in kinds.items() if kind in ("whole", "number")]
    if not numbers:
        return []
    ends = ", ".join(f"CAST(min({quoted(c)}) AS DOUBLE), CAST(max({quoted(c)}) AS DOUBLE)" for c in numbers)
    row = bench.row(f"SELECT {ends} FROM {quoted(table)}")
    found = []
    for index, column in enumerate(numbers):
        if row[2 * index] is None:
            continue
        low, high = float(str(row[2 * index])), float(str(row[2 * index + 1]))
        named = bool(_NAME.search(spaced(column)))
        unit = next((u for u, size in EPOCHS.items() if low * size >= _FIRST and high * size <= _LAST), None)
        if unit is not None:
            first, last = (str(pd.Timestamp(int(end * EPOCHS[unit])).date()) for end in (low, high))
            said = f"as {unit} its values lie between {first} and {last}; "
            said += "the name speaks of time" if named else f"--time {table}={column}:{unit} reads them so"
            found.append(Recognised(column, unit, named, said))
        elif kinds[column] == "whole" and _YEARS.search(spaced(column)) and 1800 <= low < high <= 2100:
            said = f"its numbers are years from {int(low)} to {int(high)}; --time {table}={column}:{YEAR} reads them as 1 January"
            found.append(Recognised(column, YEAR, False, said))
        elif named and kinds[column] == "whole":
            form = next((f for f, (least, most) in _DAYS.items() if low >= least and high <= most), None)
            if form is not None and _days(table, column, form, bench):
                said = f"its numbers are dates ({form}) from {int(low)} to {int(high)}; the name speaks of time"
                found.append(Recognised(column, form, True, said))
    return found


_YEARS = re.compile(r"^(?!.*(birth|born|death|died|geburt)).*((^|_)(year|yr|season|jahr)(_|$)|^year)", re.I)
_DAYS = {DAY: (19000101, 21001231), SHORT_DAY: (101, 991231)}


def _days(table: str, column: str, form: str, bench: Workbench) -> bool:
    """Whether all values are days of the form. Six digits are some day by chance: one in thirty is."""
    name = quoted(column)
    day = f"try_strptime({_digits(name, form)}, {text(form)})"
    row = bench.row(f"SELECT count({name}), count(DISTINCT {name}), count({day}) FROM {quoted(table)}")
    present, different, days = (int(str(value)) for value in row)
    return present == days and (form == DAY or different >= _DIFFERENT)


_DIFFERENT = 20


def _digits(value: str, form: str) -> str:
    """A number as the digits that `form` reads: the 010203 that a number column holds as 10203."""
    digits = f"CAST({value} AS VARCHAR)"
    return f"lpad({digits}, 6, '0')" if form == SHORT_DAY else digits


def read_as_times(staged: Staged, column: str, form: str, zone: str, bench: Workbench) -> None:
    """Rewrite `staged` with `column` as UTC nanoseconds; what is no time becomes null and is counted.

    Args:
        zone: The time zone of times that carry none.
    """
    kind = staged.schema.field(column).type
    where = f"--time {staged.name}={column}:{form}"
    if pa.types.is_timestamp(kind) and form not in EPOCHS:
        return  # the source itself read the texts, which the pattern fits in one way only
    if pa.types.is_timestamp(kind):
        raise InputError(f"{where}: the column holds times already")
    name = quoted(staged.name)
    before = bench.number(f"SELECT count({quoted(column)}) FROM {name}")
    try:
        retype(staged, {column: _reading(quoted(column), kind, form, zone)}, bench)
    except duckdb.Error as error:
        raise InputError(f"{where}: the format cannot be used: {' '.join(str(error).split())[:200]}") from None
    if before and not bench.number(f"SELECT count({quoted(column)}) FROM {name}"):
        raise InputError(f"{where}: no value of the column, which is {kind}, reads so")


def _epoch(value: str, kind: pa.DataType, size: int) -> str:
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        ticks = f"CAST({value} AS HUGEINT) * {size}"
    else:
        # fractions of a second are kept to the microsecond
        ticks = f"TRY_CAST(round(TRY_CAST({value} AS DOUBLE) * {size / 1000!r}) AS HUGEINT) * 1000"
    return f"make_timestamp_ns(TRY_CAST({ticks} AS BIGINT))"


def _reading(value: str, kind: pa.DataType, form: str, zone: str) -> Reading:
    """A column as the format says: epochs and offsets are in UTC, clocks in the import's zone, and dates lie in none."""
    if form in EPOCHS:
        return Reading(_epoch(value, kind, EPOCHS[form]), "NULL", None)
    digits = _digits(value, form) if pa.types.is_integer(kind) else f"CAST({value} AS VARCHAR)"
    clock = f"CAST(try_strptime(trim({digits}), {text(form)}) AS TIMESTAMP)"
    local = re.search(r"%[HIcTX]", form) and "%z" not in form and "%Z" not in form
    return Reading(clock, "NULL", zone if local else None)
