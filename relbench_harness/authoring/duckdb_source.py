"""Tables of a DuckDB file, read natively: schema from its catalogue, rows as Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.older_rows import Older
from relbench_harness.authoring.sources import Reading, Reference, SourceTable, check_kind, names_across, wanted_schemas
from relbench_harness.errors import InputError

_NESTED = ("STRUCT", "MAP", "UNION", "JSON", "INTERVAL", "TIME", "UUID", "BIT", "VARIANT", "BIGNUM")
_LONG = ("HUGEINT", "UHUGEINT")
"""Whole numbers of 39 digits, which the decimals of Arrow that DuckDB hands them out as cannot hold."""


@dataclass(frozen=True)
class DuckDBSource:
    """The tables of a DuckDB file, opened read-only: those of `schemas`, or of all where it is empty."""

    path: Path
    schemas: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def label(self) -> str:
        return f"DuckDB file {self.path.name}"

    @contextmanager
    def open(self) -> Iterator[Reading]:
        if not self.path.is_file():
            raise InputError(f"no DuckDB file {self.path}; a URI reads duckdb:///relative/path or duckdb:////absolute/path")
        check_kind(self.path, "duckdb")
        try:
            connection = duckdb.connect(str(self.path), read_only=True)
        except duckdb.Error as error:
            raise InputError(f"{self.path} cannot be opened: {' '.join(str(error).split())[:300]}") from None
        with connection:
            # a time with a zone inside a nested value is written as text in the session's zone
            connection.execute("SET TimeZone = 'UTC'")
            yield _Open(self, connection)


_HERE = "database_name = current_database() AND NOT internal"


@dataclass
class _Open:
    source: DuckDBSource
    connection: duckdb.DuckDBPyConnection
    notes: list[str] = field(default_factory=list)

    def tables(self) -> list[SourceTable]:
        found = self.connection.execute(
            f"SELECT schema_name, table_name, estimated_size, 'table' FROM duckdb_tables() WHERE {_HERE} UNION ALL "
            f"SELECT schema_name, view_name, NULL, 'view' FROM duckdb_views() WHERE {_HERE} ORDER BY ALL"
        ).fetchall()
        known = sorted({row[0] for row in found} | {"main"})
        schemas = wanted_schemas(self.source.label, self.source.schemas, known) or known
        found = [row for row in found if row[0] in schemas]
        if not found:
            raise InputError(f"{self.source.label} has no tables in schema {', '.join(schemas)}")
        names = names_across([row[:2] for row in found])
        keys, references = self._constraints(names)
        return [
            SourceTable(
                names[schema, table], keys.get((schema, table), ()), tuple(references.get((schema, table), ())), size,
                schema=schema, bare=table, kind=kind,
            )
            for schema, table, size, kind in found
        ]  # fmt: skip

    def _constraints(
        self, names: dict[tuple[str, str], str]
    ) -> tuple[dict[tuple[str, str], tuple[str, ...]], dict[tuple[str, str], list[Reference]]]:
        """Primary keys and foreign keys; DuckDB knows none from one schema to another."""
        keys: dict[tuple[str, str], tuple[str, ...]] = {}
        references: dict[tuple[str, str], list[Reference]] = {}
        for schema, table, kind, columns, parent, parent_columns in self.connection.execute(
            "SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table, "
            "referenced_column_names FROM duckdb_constraints() WHERE database_name = current_database()"
        ).fetchall():
            if kind == "PRIMARY KEY":
                keys[schema, table] = tuple(columns)
            elif kind == "FOREIGN KEY":
                reference = Reference(tuple(columns), names.get((schema, parent), parent), tuple(parent_columns))
                references.setdefault((schema, table), []).append(reference)
        return keys, references

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        return self._rows(table, "")

    def rest(self, table: SourceTable, older: Older, known: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._rows(table, f" WHERE {older.at_source(quoted(older.column), 'duckdb')[1]}")

    def count(self, table: SourceTable, older: Older) -> int:
        condition = older.at_source(quoted(older.column), "duckdb")[0]
        row = self.connection.execute(f"SELECT count(*) FROM {self._named(table)} WHERE {condition}").fetchall()[0]
        return int(row[0])

    def _named(self, table: SourceTable) -> str:
        catalog = str(self.connection.execute("SELECT current_database()").fetchall()[0][0])
        return ".".join(quoted(part) for part in (catalog, table.schema, table.bare))

    def _rows(self, table: SourceTable, where: str) -> Iterator[pa.RecordBatch]:
        named = self._named(table)
        # a name that DESCRIBE alone has a meaning of its own for ('tables') is a table's here
        described = self.connection.execute(f"DESCRIBE SELECT * FROM {named}").fetchall()
        columns = ", ".join(
            f"CAST({quoted(n)} AS VARCHAR) AS {quoted(n)}" if _is_nested(kind) or kind in _LONG else quoted(n)
            for n, kind, *_ in described
        )
        long = [place for place, (_, kind, *_) in enumerate(described) if kind in _LONG]
        reader = self.connection.sql(f"SELECT {columns} FROM {named}{where}").to_arrow_reader(100_000)
        for batch in chain([pa.RecordBatch.from_pylist([], schema=reader.schema)], reader):
            for place in long:
                exact = batch.column(place).cast(pa.decimal256(39, 0))
                batch = batch.set_column(place, batch.schema.names[place], exact)
            yield batch


def _is_nested(kind: str) -> bool:
    plain = kind.split("(")[0]
    return plain in _NESTED or kind.startswith(("STRUCT(", "MAP(", "UNION(", "TIME WITH"))
