"""Predictions into a DuckDB file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from relbench_harness.data.query import free, quoted
from relbench_harness.errors import InputError
from relbench_harness.models.score_table import Column, Place


@dataclass(frozen=True)
class DuckDBFile:
    """A DuckDB file, which is made where there is none."""

    path: Path

    @property
    def label(self) -> str:
        return f"DuckDB database {self.path.name}"

    @contextmanager
    def open(self, place: Place) -> Iterator[DuckDBWriting]:
        try:
            with duckdb.connect(str(self.path)) as connection:
                connection.execute("BEGIN TRANSACTION")
                yield DuckDBWriting(connection, place)
        except duckdb.Error as error:
            raise InputError(f"{self.label} cannot be written to: {' '.join(str(error).split())[:400]}") from None


class DuckDBWriting:
    longest = 1000

    def __init__(self, connection: duckdb.DuckDBPyConnection, place: Place) -> None:
        self.connection, self.place = connection, place
        self.name = ".".join(quoted(part) for part in place if part)
        self.chunk = free("chunk", [place.table])

    def columns(self) -> list[Column] | None:
        rows = self.connection.execute(
            "SELECT c.column_name, c.data_type, c.is_nullable, c.column_default, t.table_type FROM information_schema.columns c "
            "JOIN information_schema.tables t USING (table_catalog, table_schema, table_name) "
            "WHERE c.table_catalog = current_database() AND c.table_name = ? AND c.table_schema = coalesce(?, current_schema()) "
            "ORDER BY c.ordinal_position",
            [self.place.table, self.place.schema],
        ).fetchall()
        if any(row[4] != "BASE TABLE" for row in rows):
            raise InputError(f"{self.place.table!r} is no table but a view or the like, which cannot take predictions")
        return [Column(n, _family(k), k, null == "NO" and default is None) for n, k, null, default, _ in rows] or None

    def create(self, schema: pa.Schema) -> None:
        self._with(pa.RecordBatch.from_pylist([], schema=schema), f"CREATE TABLE {self.name} AS SELECT * FROM {self.chunk}")

    def clear(self, column: str, value: str | None) -> None:
        if value is None:
            self.connection.execute(f"DELETE FROM {self.name}")
        else:
            self.connection.execute(f"DELETE FROM {self.name} WHERE {quoted(column)} = ?", [value])

    def insert(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        columns = ", ".join(map(quoted, schema.names))
        for batch in batches:
            self._with(batch, f"INSERT INTO {self.name} ({columns}) SELECT {columns} FROM {self.chunk}")

    def _with(self, batch: pa.RecordBatch, statement: str) -> None:
        self.connection.register(self.chunk, pa.Table.from_batches([batch]))
        self.connection.execute(statement)
        self.connection.unregister(self.chunk)

    def commit(self) -> None:
        self.connection.execute("COMMIT")


_FAMILIES = {
    "BOOLEAN": "flag", "BLOB": "bytes", "VARCHAR": "text", "DATE": "date", "UUID": "uuid", "FLOAT": "number", "DOUBLE": "number",
}  # fmt: skip


def _family(kind: str) -> str:
    """What a column holds, in the words of `score_table.family`."""
    if kind.startswith("TIMESTAMP"):
        return "time"
    if kind.startswith("DECIMAL"):
        return "decimal"
    return "whole number" if kind.endswith("INT") or kind.endswith("INTEGER") else _FAMILIES.get(kind, "other")
