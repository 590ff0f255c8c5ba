"""A table of a database that takes predictions: replaced whole, or rows of one run appended, in one transaction.

Invariant: whoever reads the table sees the rows of before or those of now, never both nor a part, whenever this process ends; a
run's rows never stand in it twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa

from relbench_harness.errors import InputError, nearest
from relbench_harness.models.destinations import Spool, Stamp, run_column, stamped


class Place(NamedTuple):
    """A table by its schema, None for the connection's own, and its name."""

    schema: str | None
    table: str


class Column(NamedTuple):
    """A column of a table that is there.

    Attributes:
        family: What it holds: a key of `_TAKES`, or `exact`, `uuid`, `any`, `other`.
        written: Its type as the database calls it.
        required: Whether a row needs a value for it.
    """

    name: str
    family: str
    written: str
    required: bool


class Writing(Protocol):
    """An open transaction. What it did counts once `commit` returned."""

    longest: int
    """Bytes of the longest name of a column."""

    def columns(self) -> list[Column] | None:
        """The columns of the table; None where there is no such table."""
        ...

    def create(self, schema: pa.Schema) -> None: ...

    def clear(self, column: str, value: str | None) -> None:
        """Deletes the rows that have `value` in `column`, all rows where it is None; other writers wait from here on."""
        ...

    def insert(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None: ...

    def commit(self) -> None: ...


class Server(Protocol):
    """A kind of database. Whatever goes wrong inside `open` is an `InputError` without credentials."""

    @property
    def label(self) -> str: ...

    def open(self, place: Place) -> AbstractContextManager[Writing]: ...


@dataclass(frozen=True)
class ScoreTable:
    """A destination of predictions.

    Attributes:
        append: Keep the rows of other runs.
    """

    server: Server
    place: Place
    append: bool

    @property
    def label(self) -> str:
        return f"table {'.'.join(filter(None, self.place))} of {self.server.label}"

    def check(self) -> None:
        """Raises `InputError` where the database cannot be reached or the name is not that of a table."""
        with self.server.open(self.place) as writing:
            writing.columns()

    def write(self, tables: Iterable[pa.Table], stamp: Stamp) -> int:
        """Writes in one transaction, after all is predicted; what cannot fit is refused at the first chunk.

        Raises:
            InputError: A column that does not fit, or a database that refuses. The table is then as it was.
        """
        chunks = stamped(tables, stamp)
        first = next(chunks, None)
        if first is None:
            return 0
        with self.server.open(self.place) as writing:
            self._prepare(writing, first.schema, "")
            writing.insert(first.schema, [])
        with Spool() as spool:
            rows = spool.fill(itertools.chain([first], chunks))
            self.send(first.schema, spool.batches(), stamp)
        return rows

    def send(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], stamp: Stamp) -> None:
        """The one transaction that changes the table."""
        with self.server.open(self.place) as writing:
            self._prepare(writing, schema, stamp.run if self.append else None)
            writing.insert(schema, batches)
            writing.commit()

    def _prepare(self, writing: Writing, schema: pa.Schema, gone: str | None) -> None:
        """The table, as it must be, without the rows of the run `gone`, or without any where that is None."""
        _check_names(schema.names, writing.longest, self.label)
        there = writing.columns()
        if there is None:
            writing.create(schema)
        else:
            _check_fit(schema, there, self.label)
        writing.clear(run_column(schema.names), gone)


_TAKES: Mapping[str, frozenset[str]] = {
    "whole number": frozenset({"whole number", "exact", "decimal"}),
    "decimal": frozenset({"exact", "decimal", "text"}),
    "number": frozenset({"number", "exact"}),
    "text": frozenset({"text", "uuid"}),
    "time": frozenset({"time"}),
    "date": frozenset({"date", "time"}),
    "flag": frozenset({"flag", "whole number"}),
    "bytes": frozenset({"bytes"}),
}
"""What a column of predictions holds → which columns of a database take it without loss."""


def family(kind: pa.DataType) -> str:
    """What a column of predictions holds, as `_TAKES` calls it."""
    if kind == pa.uint64():
        return "decimal"
    tests = (
        ("whole number", pa.types.is_integer), ("decimal", pa.types.is_decimal), ("number", pa.types.is_floating),
        ("time", pa.types.is_timestamp), ("date", pa.types.is_date), ("flag", pa.types.is_boolean), ("bytes", pa.types.is_binary),
        ("bytes", pa.types.is_large_binary),
    )  # fmt: skip
    return next((name for name, test in tests if test(kind)), "text")


def _check_names(names: Sequence[str], longest: int, label: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if len(name.encode()) > longest:
            raise InputError(f"{label} cannot have a column {name!r}: names there have at most {longest} bytes")
        if name.lower() in seen:
            raise InputError(f"{label} cannot have columns {seen[name.lower()]!r} and {name!r}, which differ in case only")
        seen[name.lower()] = name


def _check_fit(schema: pa.Schema, there: Sequence[Column], label: str) -> None:
    """Raises `InputError` that names the first column which does not fit."""
    known = {column.name: column for column in there}
    for field in schema:
        if field.name not in known:
            raise InputError(
                f"{label} does not fit the predictions: it has no column {field.name!r}; {nearest(field.name, known)}"
            )
        column, wanted = known[field.name], family(field.type)
        if column.family != "any" and column.family not in _TAKES[wanted]:
            raise InputError(
                f"{label} does not fit the predictions: column {field.name!r} is {column.written} there and a {wanted} here"
            )
    for column in there:
        if column.required and column.name not in schema.names:
            raise InputError(
                f"{label} does not fit the predictions: its column {column.name!r} needs a value and they have none for it"
            )
