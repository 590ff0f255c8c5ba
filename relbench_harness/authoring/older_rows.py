"""Which rows of a table are older than a day: one condition, said to a source in its own SQL and to rows that were staged.

Invariant: the two agree row by row, whatever the time zone, for a row that did not change. A row without a time is not older, nor is
one whose time no source can compare as nanoseconds (before 1700). A time that is written as text is compared as text, since the text
is what both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.staging import Staged, instants
from relbench_harness.authoring.time_formats import EPOCHS

Form = Literal["day", "clock", "instant", "text", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]
"""What a source has as a row's time: a date, a clock in no zone, an instant, a text that begins with the year, or a number."""
_FIRST = pd.Timestamp("1700-01-01")
_NOON = "12:00:00"
"""No zone changes its clocks at noon, so that a clock that shows it names one instant."""


@dataclass(frozen=True)
class Older:
    """The rows whose time `column` lies before `day`, a midnight."""

    column: str
    form: Form
    day: pd.Timestamp

    def at_source(self, name: str, dialect: str) -> tuple[str, str]:
        """The condition in SQL, and that of all other rows.

        Args:
            name: The column as the dialect quotes it.
            dialect: postgresql, mysql, sqlite or duckdb.
        """
        value = name
        if self.form == "text" and dialect == "postgresql":
            value = f'CAST({name} AS text) COLLATE "C"'
        elif self.form == "text" and dialect == "mysql":
            value = f"CAST({name} AS BINARY)"
        low, high = (self._literal(day, dialect) for day in (_FIRST, self.day))
        if self.form == "text":
            low = text(_BEFORE_DIGITS)
        return f"({value} >= {low} AND {value} < {high})", f"({value} < {low} OR {value} >= {high} OR {name} IS NULL)"

    def _literal(self, day: pd.Timestamp, dialect: str) -> str:
        date = str(day.date())
        if self.form in EPOCHS:
            return str((day + _HALF_DAY).as_unit("ns").value // EPOCHS[self.form])
        if self.form == "text":
            return text(date)
        shown = date if self.form == "day" else f"{date} {_NOON}"
        if dialect == "mysql":
            return text(shown)
        kind = {"day": "DATE", "clock": "TIMESTAMP", "instant": "TIMESTAMPTZ"}[self.form]
        return f"{kind} {text(shown + '+00:00' if self.form == 'instant' else shown)}"

    def ends(self, kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar]:
        """The first value that is older and the first that no longer is, in the type that the source hands times out in."""
        if self.form == "text":
            return pa.scalar(_BEFORE_DIGITS, kind), pa.scalar(str(self.day.date()), kind)
        if self.form in EPOCHS:
            return pa.scalar(int(self._literal(_FIRST, "")), kind), pa.scalar(int(self._literal(self.day, "")), kind)
        moved = pd.Timedelta(0) if self.form == "day" else _HALF_DAY
        zone = kind.tz if self.form == "instant" else None
        ends = ((day + moved).tz_localize("UTC" if zone else None).to_pydatetime() for day in (_FIRST, self.day))
        low, high = (pa.scalar(end, pa.timestamp("us", zone)).cast(kind) for end in ends)
        return low, high

    def staged(self, staged: Staged, zone: str) -> str:
        """The condition in DuckDB's SQL on the rows of `staged`, as they are once their texts are read.

        Args:
            zone: The time zone of times that carry none.
        """
        if self.form == "text":
            name = quoted(staged.raw[self.column])
            return f"({name} >= {text(_BEFORE_DIGITS)} AND {name} < {text(str(self.day.date()))})"
        low, high = (f"make_timestamp_ns({self._instant(day, zone)})" for day in (_FIRST, self.day))
        return f"({quoted(self.column)} >= {low} AND {quoted(self.column)} < {high})"

    def _instant(self, day: pd.Timestamp, zone: str) -> int:
        """The beginning of the rows that are no longer older, in nanoseconds."""
        if self.form == "day":
            return int(day.as_unit("ns").value)
        noon = pa.array([(day + _HALF_DAY).to_pydatetime()], pa.timestamp("us"))
        return int(instants(noon, zone if self.form == "clock" else None, lambda _: None).cast(pa.int64())[0].as_py())


_HALF_DAY = pd.Timedelta(hours=12)
_BEFORE_DIGITS = "/"
"""What stands before every digit: a text that is blank or begins with a blank is older than no day. It reads as no number."""


def form_of(kind: pa.DataType, form: str | None) -> Form | None:
    """What a source has as times, by the type that it hands them out in and the format they are given to be in.

    Returns:
        None for a form that a source cannot compare.
    """
    if pa.types.is_date(kind):
        return "day"
    if pa.types.is_timestamp(kind):
        return "clock" if kind.tz is None else "instant"
    if form is None:
        return "text" if pa.types.is_string(kind) else None
    if form in EPOCHS and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return form  # type: ignore[return-value]
    return None
