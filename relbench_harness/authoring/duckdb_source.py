"""Tables of a DuckDB file, read natively: schema from its catalogue, rows as Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.sources import Reading, Reference, SourceTable
from relbench_harness.errors import InputError

_NESTED = ("STRUCT", "MAP", "UNION", "JSON", "INTERVAL", "TIME", "UUID", "BIT", "VARIANT", "BIGNUM")
_LONG = ("HUGEINT", "UHUGEINT")
"""Whole numbers of 39 digits, which the decimals of Arrow that DuckDB hands them out as cannot hold."""


@dataclass(frozen=True)
class DuckDBSource:
    """The tables of schema `main` in a DuckDB file, opened read-only."""

    path: Path
    ordered: bool = False

    @property
    def label(self) -> str:
        return f"DuckDB file {self.path.name}"

    @contextmanager
    def open(self) -> Iterator[Reading]:
        if not self.path.is_file():
            raise InputError(f"no DuckDB file {self.path}; a URI reads duckdb:///relative/path or duckdb:////absolute/path")
        try:
            connection = duckdb.connect(str(self.path), read_only=True)
        except duckdb.Error as error:
            raise InputError(f"{self.path} cannot be opened: {' '.join(str(error).split())[:300]}") from None
        with connection:
            # a time with a zone inside a nested value is written as text in the session's zone
            connection.execute("SET TimeZone = 'UTC'")
            yield _Open(connection)


@dataclass(frozen=True)
class _Open:
    connection: duckdb.DuckDBPyConnection

    def tables(self) -> list[SourceTable]:
        rows = self.connection.execute(
            "SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = 'main' AND NOT internal"
        ).fetchall()
        keys: dict[str, tuple[str, ...]] = {}
        references: dict[str, list[Reference]] = {}
        for table, kind, columns, parent, parent_columns in self.connection.execute(
            "SELECT table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names "
            "FROM duckdb_constraints() WHERE schema_name = 'main'"
        ).fetchall():
            if kind == "PRIMARY KEY":
                keys[table] = tuple(columns)
            elif kind == "FOREIGN KEY":
                references.setdefault(table, []).append(Reference(tuple(columns), parent, tuple(parent_columns)))
        return [SourceTable(n, keys.get(n, ()), tuple(references.get(n, ())), size) for n, size in sorted(rows)]

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        # of a table called 'tables' DESCRIBE alone would list all tables
        described = self.connection.execute(f"DESCRIBE SELECT * FROM {quoted(table)}").fetchall()
        columns = ", ".join(
            f"CAST({quoted(n)} AS VARCHAR) AS {quoted(n)}" if _is_nested(kind) or kind in _LONG else quoted(n)
            for n, kind, *_ in described
        )
        long = [place for place, (_, kind, *_) in enumerate(described) if kind in _LONG]
        for batch in self.connection.sql(f"SELECT {columns} FROM {quoted(table)}").to_arrow_reader(100_000):
            for place in long:
                exact = batch.column(place).cast(pa.decimal256(39, 0))
                batch = batch.set_column(place, batch.schema.names[place], exact)
            yield batch


def _is_nested(kind: str) -> bool:
    plain = kind.split("(")[0]
    return plain in _NESTED or kind.startswith(("STRUCT(", "MAP(", "UNION(", "TIME WITH"))
