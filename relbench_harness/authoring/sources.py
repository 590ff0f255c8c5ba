"""Where tables come from: what every kind of source offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pyarrow as pa

from relbench_harness.errors import InputError

if TYPE_CHECKING:
    from relbench_harness.authoring.older_rows import Older


@dataclass(frozen=True)
class Reference:
    """A foreign key: `columns` hold the values of `parent_columns` in `parent`."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class SourceTable:
    """A table as its source declares it.

    Attributes:
        rows: About how many rows it has, where that is known cheaply; for progress only.
        schema: The schema it lies in at its source, '' where there is none; `qualified` names both.
        kind: "table", or what else it is: a view, a foreign table. Those are imported only where they are asked for.
    """

    name: str
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    rows: int | None = None
    schema: str = ""
    bare: str = ""
    kind: str = "table"

    @property
    def qualified(self) -> str:
        """`schema.table` as the source calls it."""
        return f"{self.schema}.{self.bare}" if self.schema else self.bare or self.name


class Reading(Protocol):
    """An open source: one consistent view of all its tables.

    Attributes:
        notes: What the import should say about what was read, or left out.
    """

    @property
    def notes(self) -> list[str]: ...

    def tables(self) -> list[SourceTable]: ...

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """The rows of `table`, in pieces of one schema; nothing where the table is empty and untyped."""
        ...


@runtime_checkable
class PartReading(Protocol):
    """An open source that hands out later rows without the older ones."""

    def count(self, table: SourceTable, older: Older) -> int:
        """How many rows of `table` are older."""
        ...

    def rest(self, table: SourceTable, older: Older, known: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The other rows of `table`, in the types in which `batches` would hand out all.

        Args:
            known: The types of the older rows when they were read.
        """
        ...


class Source(Protocol):
    """A kind of place that tables come from.

    Attributes:
        label: What a manifest calls it; never a credential.
        ordered: Whether the order of rows means something (files), so that it settles ties in time.
    """

    @property
    def label(self) -> str: ...

    @property
    def ordered(self) -> bool: ...

    def open(self) -> AbstractContextManager[Reading]: ...


def names_across(schemas: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What the tables (schema, table) are called: `table` where no other has that name, else `schema_table`."""
    shared = Counter(table.lower() for _, table in schemas)
    names: dict[tuple[str, str], str] = {}
    taken = {table.lower() for _, table in schemas if shared[table.lower()] == 1}
    for schema, table in schemas:
        name = table
        if shared[table.lower()] > 1 and schema:
            name = f"{schema}_{table}"
            while name.lower() in taken:
                name += "_"
            taken.add(name.lower())
        names[schema, table] = name
    return names


def wanted_schemas(label: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """`wanted`, if the source has them all. Raises `InputError` with those that it has."""
    for schema in wanted:
        if schema not in known:
            raise InputError(f"{label} has no schema {schema!r}; it has {', '.join(sorted(known)) or 'none'}")
    return list(dict.fromkeys(wanted))


_MARKS = {"sqlite": (0, b"SQLite format 3\x00"), "duckdb": (8, b"DUCK")}
"""Where a database file says what it is."""


def check_kind(path: Path, kind: str) -> None:
    """Raise `InputError` where the file says that it is a database of another kind, naming the URI that reads it."""
    with path.open("rb") as file:
        head = file.read(64)
    for other, (start, mark) in _MARKS.items():
        if other != kind and head[start:].startswith(mark):
            raise InputError(f"{path} is a file of {other}, not of {kind}; name it as {other}:///{path}")
