"""Rows of an SQLite file, through ADBC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from relbench_harness.authoring.older_rows import Older
from relbench_harness.authoring.reflection import Reflected
from relbench_harness.authoring.sources import SourceTable, check_kind
from relbench_harness.errors import InputError


class SQLite(Reflected):
    driver = "sqlite+pysqlite"

    def connect(self) -> Any:
        from pathlib import Path

        from adbc_driver_sqlite import dbapi

        path = Path(self.source.url.database or "")
        if not path.is_file():
            raise InputError(f"no SQLite file {path}; a URI reads sqlite:///relative/path or sqlite:////absolute/path")
        check_kind(path, "sqlite")
        return dbapi.connect(str(path))

    def schemas(self) -> list[str]:
        return [""]

    def found(self, schemas: list[str]) -> list[tuple[str, str, str]]:
        """A table that an extension keeps its own data in (a shadow table of full-text search) is none of the user's."""
        with self.engine.connect() as connection:
            listed = connection.exec_driver_sql("PRAGMA table_list").fetchall()
        own = {str(row[1]): str(row[2]) for row in listed if row[0] == "main" and not str(row[1]).startswith("sqlite_")}
        kinds = {"table": "table", "view": "view", "virtual": "virtual table"}
        return [("", name, kinds[kind]) for name, kind in own.items() if kind in kinds] or super().found(schemas)

    def rows(self, table: SourceTable, where: str) -> Iterator[pa.RecordBatch]:
        """SQLite types each value, and its driver each column by its first rows: so ask first, then show it a typed row."""
        return self._typed(table, where, self._stored(table, self._names(table), where))

    def rest(self, table: SourceTable, older: Older, known: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Where the other rows alone would have another type than the older ones, that of all rows is found."""
        where = f" WHERE {older.at_source(f'r.{self.quote(older.column)}', 'sqlite')[1]}"
        names = self._names(table)
        stored = self._stored(table, names, where)
        unlike = [n for n in names if n not in known.names or known.field(n).type != _TYPES[stored[n]]]
        return self._typed(table, where, stored | self._stored(table, unlike, ""))

    def _names(self, table: SourceTable) -> list[str]:
        return [name for name, _ in self.kinds("", table.bare)]

    def _typed(self, table: SourceTable, where: str, stored: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        samples = {"text": "''", "real": "0.5", "integer": "0", "blob": "x'00'", "null": "''"}
        casts = {"text": "CAST({} AS TEXT)", "real": "CAST({} AS REAL)"}
        typed = ", ".join(f"{samples[kind]} AS {self.quote(n)}" for n, kind in stored.items())
        columns = ", ".join(casts.get(kind, "{}").format(self.quote(n)) for n, kind in stored.items())
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {typed} UNION ALL SELECT {columns} FROM {self.named(table)} r{where}")
            first = True
            for batch in cursor.fetch_record_batch():
                yield batch.slice(1) if first else batch
                first = False

    def _stored(self, table: SourceTable, names: Sequence[str], where: str) -> dict[str, str]:
        """The storage class that holds every value of each column: text, else real, else integer; blob if only that."""
        if not names:
            return {}
        classes = ("text", "real", "integer", "blob")
        tests = ", ".join(f"max(typeof({self.quote(n)}) = '{c}')" for n in names for c in classes)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {tests} FROM {self.named(table)} r{where}")
            row = list(cursor.fetchone())
        found = {}
        for index, name in enumerate(names):
            present = [c for c, there in zip(classes, row[index * 4 : index * 4 + 4], strict=True) if there]
            found[name] = ("text" if "blob" in present and len(present) > 1 else present[0]) if present else "null"
        return found


_TYPES = {"text": pa.string(), "real": pa.float64(), "integer": pa.int64(), "blob": pa.binary(), "null": pa.string()}
"""Storage class → the type in which the driver hands it out."""
