"""The schema of a database by SQLAlchemy's reflection: what all dialects have in common.

Invariant: every identifier is quoted by the dialect, and a table is known by its schema and its own name, whatever it is
called in the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from relbench_harness.authoring.older_rows import Older
from relbench_harness.authoring.sources import Reference, SourceTable, names_across, wanted_schemas
from relbench_harness.errors import InputError

_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
"""Schemas that are the server's own."""
Place = tuple[str, str]
"""A schema and a table."""
Declared = tuple[tuple[str, ...], Place, tuple[str, ...]]
"""A foreign key: its columns, the table they refer to, and the columns there."""
_DIALECTS: dict[str, Any] = {"postgresql": postgresql.dialect, "mysql": mysql.dialect, "sqlite": sqlite.dialect}
# with named parameters no dialect doubles a % in an identifier
_NAMED = {name: dialect(paramstyle="named") for name, dialect in _DIALECTS.items()}


@dataclass(frozen=True, repr=False)
class Database:
    """A database server or an SQLite file. Its `repr` shows no credentials.

    Attributes:
        schemas: The schemas to read; those that `Reflected.default_schemas` says where it is empty.
    """

    url: sa.URL
    dialect: str
    schemas: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label})"

    @property
    def label(self) -> str:
        name = (self.url.database or "").rpartition("/")[2]
        return f"{self.dialect} database {name}"

    @property
    def uri(self) -> str:
        return self.url.render_as_string(hide_password=False)


@dataclass
class Reflected:
    """What the three have in common: reflection and quoting."""

    source: Database
    notes: list[str] = field(default_factory=list)
    driver = ""

    @contextmanager
    def opened(self) -> Iterator[Reflected]:
        try:
            with closing(self.connect()) as self.connection:
                yield self
        finally:
            self.engine.dispose()

    def connect(self) -> Any:
        raise NotImplementedError

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        return self.rows(table, "")

    def rest(self, table: SourceTable, older: Older, known: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self.rows(table, f" WHERE {older.at_source(f'r.{self.quote(older.column)}', self.source.dialect)[1]}")

    def count(self, table: SourceTable, older: Older) -> int:
        condition = older.at_source(f"r.{self.quote(older.column)}", self.source.dialect)[0]
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self.named(table)} r WHERE {condition}")
            return int(cursor.fetchone()[0])

    def rows(self, table: SourceTable, where: str) -> Iterator[pa.RecordBatch]:
        """The rows of `table`, called r, that `where`, a clause or nothing, leaves."""
        raise NotImplementedError

    def quote(self, name: str) -> str:
        return str(_NAMED[self.source.dialect].identifier_preparer.quote_identifier(name))

    def named(self, table: SourceTable) -> str:
        return f"{self.quote(table.schema)}.{self.quote(table.bare)}" if table.schema else self.quote(table.bare)

    @cached_property
    def engine(self) -> sa.Engine:
        return sa.create_engine(self.source.url.set(drivername=self.driver))

    @cached_property
    def inspector(self) -> sa.Inspector:
        return sa.inspect(self.engine)

    def default_schemas(self, known: list[str]) -> list[str]:
        """The schemas that are read where none is named."""
        raise NotImplementedError

    def schemas(self) -> list[str]:
        known = [s for s in self.inspector.get_schema_names() if s.lower() not in _SYSTEM and not s.startswith("pg_")]
        return wanted_schemas(self.source.label, self.source.schemas, known) or self.default_schemas(known)

    def found(self, schemas: list[str]) -> list[tuple[str, str, str]]:
        """Every (schema, table, kind), kinds as `SourceTable` calls them."""
        listed = [(s, name, "table") for s in schemas for name in self.inspector.get_table_names(s or None)]
        return listed + [(s, name, "view") for s in schemas for name in self.inspector.get_view_names(s or None)]

    def tables(self) -> list[SourceTable]:
        schemas = self.schemas()
        found = sorted(self.found(schemas))
        if not any(kind == "table" for _, _, kind in found):
            where = ", ".join(repr(schema) for schema in schemas if schema)
            raise InputError(f"{self.source.label} has no tables" + (f" in schema {where}" if where else ""))
        names = names_across([(schema, table) for schema, table, _ in found])
        return [self._table(schema, table, kind, names) for schema, table, kind in found]

    def _table(self, schema: str, table: str, kind: str, names: Mapping[tuple[str, str], str]) -> SourceTable:
        key, found = self.constraints(schema, table) if kind == "table" else ((), [])
        # SQLite and MySQL may name a parent in another letter case than its own
        known = {(s.lower(), t.lower()): name for (s, t), name in names.items()} | dict(names)
        places = [(columns, at if at in known else (at[0].lower(), at[1].lower()), theirs) for columns, at, theirs in found]
        references = [Reference(columns, known[at], theirs) for columns, at, theirs in places if at in known]
        return SourceTable(
            names[schema, table], key, tuple(dict.fromkeys(references)),
            schema=schema, bare=table, kind=kind,
        )  # fmt: skip

    def constraints(self, schema: str, table: str) -> tuple[tuple[str, ...], list[Declared]]:
        """The primary key and the foreign keys that `table` declares."""
        key = tuple(self.inspector.get_pk_constraint(table, schema or None)["constrained_columns"])
        return key, [
            (
                tuple(f["constrained_columns"]),
                (f["referred_schema"] or schema, f["referred_table"]),
                tuple(f["referred_columns"]),
            )
            for f in self.inspector.get_foreign_keys(table, schema or None)
        ]

    def keyed(self, table: SourceTable) -> set[str]:
        """The columns of `table` that are part of a declared key or that a foreign key refers to, in lower case."""
        inspector, name, schema = self.inspector, table.bare, table.schema or None
        if table.kind != "table":
            return set()
        found = set(inspector.get_pk_constraint(name, schema)["constrained_columns"])
        for constraint in inspector.get_unique_constraints(name, schema):
            found |= set(constraint["column_names"])
        for index in inspector.get_indexes(name, schema):
            # a foreign key may refer to what a unique index alone keeps unique
            found |= {c for c in index["column_names"] if c is not None} if index["unique"] else set()
        for reference in inspector.get_foreign_keys(name, schema):
            found |= set(reference["constrained_columns"])
        return {c.lower() for c in found}

    def kinds(self, schema: str, table: str) -> list[tuple[str, Any]]:
        return [(str(c["name"]), c["type"]) for c in self.inspector.get_columns(table, schema or None)]


def exact_decimal(precision: int, scale: int, keyed: bool) -> pa.DataType | None:
    """The type that keeps numbers of so many digits exactly; None for fractions that are no key, and beyond 76 digits."""
    if scale and not keyed:
        return None
    if not scale and precision <= 18:
        return pa.int64()
    if precision <= 38:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= 76 else None
