"""Rows of PostgreSQL, through ADBC in one read-only transaction."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from relbench_harness.authoring.postgres_catalogue import Catalogue, base_type
from relbench_harness.authoring.reflection import Declared, Reflected, exact_decimal
from relbench_harness.authoring.sources import SourceTable


class Postgres(Reflected):
    driver = "postgresql+psycopg"

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.engine)

    def default_schemas(self, known: list[str]) -> list[str]:
        return known

    def found(self, schemas: list[str]) -> list[tuple[str, str, str]]:
        return self.catalogue.relations(schemas, self.notes)

    def constraints(self, schema: str, table: str) -> tuple[tuple[str, ...], list[Declared]]:
        return self.catalogue.constraints(schema, table)

    def kinds(self, schema: str, table: str) -> list[tuple[str, Any]]:
        """A domain is the type it is made of."""
        return [(name, base_type(kind)) for name, kind in super().kinds(schema, table)]

    def connect(self) -> Any:
        from adbc_driver_postgresql import dbapi
        from psycopg.conninfo import make_conninfo

        # as keywords, since SQLAlchemy leaves spaces in a URI that libpq refuses
        names = {"username": "user", "database": "dbname"}
        parts: dict[str, Any] = {names.get(k, k): v for k, v in self.source.url.translate_connect_args().items()}
        connection = dbapi.connect(make_conninfo(**{**parts, **self.source.url.query}))
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # what is written as text (a time in JSON, a range, an interval) reads the same whatever the environment says
            for setting in ("TimeZone = 'UTC'", "DateStyle = 'ISO, YMD'", "IntervalStyle = 'postgres'"):
                cursor.execute(f"SET {setting}")
        return connection

    def _column(self, name: str, kind: Any, exact: pa.DataType | None) -> str:
        """The expression that a column is read by.

        Args:
            exact: The decimal that holds the column's numbers where they must keep every digit: it is read as text then.
        """
        quoted = self.quote(name)
        if exact is not None:
            return f"CAST(NULLIF({quoted}, 'NaN') AS {'bigint' if pa.types.is_integer(exact) else 'text'}) AS {quoted}"
        if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
            return f"CAST({quoted} AS double precision) AS {quoted}"
        if isinstance(kind, postgresql.MONEY):
            return f"CAST(CAST({quoted} AS numeric) AS double precision) AS {quoted}"
        item = kind.item_type if isinstance(kind, postgresql.ARRAY) else kind
        several = "[]" if isinstance(kind, postgresql.ARRAY) else ""
        if isinstance(item, sa.Numeric) and not isinstance(item, sa.Float):
            return f"CAST({quoted} AS double precision[]) AS {quoted}"
        if isinstance(item, postgresql.CITEXT):
            return f"CAST({quoted} AS text{several}) AS {quoted}"
        plain = (sa.Integer, sa.Float, sa.Boolean, sa.Date, sa.DateTime, sa.LargeBinary, sa.Text)
        if isinstance(item, plain) or (isinstance(item, sa.String) and type(item) in (sa.String, sa.VARCHAR, sa.TEXT)):
            return quoted
        return f"CAST({quoted} AS text{several}) AS {quoted}"

    def _exact(self, cursor: Any, table: SourceTable) -> dict[str, pa.DataType]:
        """Column → the type that keeps its numbers exactly: keys of any precision, and all whole numbers."""
        keyed, found = self.keyed(table), {}
        for name, kind in self.kinds(table.schema, table.bare):
            if not isinstance(kind, sa.Numeric) or isinstance(kind, sa.Float):
                continue
            precision, scale = kind.precision, kind.scale or 0
            if precision is None or scale < 0:
                quoted = self.quote(name)
                cursor.execute(
                    f"SELECT max(scale(trim_scale({quoted}))), max(length(trunc(abs({quoted}))::text)), "
                    f"bool_or({quoted} IN ('NaN', 'Infinity', '-Infinity')) FROM {self.named(table)}"
                )
                digits, whole, odd = cursor.fetchone()
                if odd or whole is None:
                    continue
                precision, scale = max(whole + digits, 1), digits
            kept = exact_decimal(precision, scale, name.lower() in keyed)
            if kept is not None:
                found[name] = kept
        return found

    def _spelled(self, table: SourceTable, texts: set[str]) -> dict[str, str]:
        """Foreign keys whose type takes 'abc' for 'ABC' as their parents spell them: an expression for each such column."""
        found: dict[str, str] = {}
        declared = self.constraints(table.schema, table.bare)[1] if table.kind == "table" else []
        for own, (schema, parent), theirs in declared:
            pairs = list(zip(own, theirs, strict=True))
            same = " AND ".join(f"p.{self.quote(other)} = r.{self.quote(mine)}" for mine, other in pairs)
            for mine, other in pairs:
                if mine in texts and mine not in found:
                    named = f"SELECT p.{self.quote(other)} FROM {self.quote(schema)}.{self.quote(parent)} p WHERE {same}"
                    found[mine] = f"CAST(coalesce(({named}), r.{self.quote(mine)}) AS text) AS {self.quote(mine)}"
        return found

    def rows(self, table: SourceTable, where: str) -> Iterator[pa.RecordBatch]:
        with self.connection.cursor() as cursor:
            exact = self._exact(cursor, table)
            kinds = self.kinds(table.schema, table.bare)
            spelled = self._spelled(table, {name for name, kind in kinds if isinstance(kind, postgresql.CITEXT)})
            columns = ", ".join(spelled.get(name) or self._column(name, kind, exact.get(name)) for name, kind in kinds)
            cursor.execute(f"SELECT {columns} FROM {self.named(table)} r{where}")
            reader = cursor.fetch_record_batch()
            schema = pa.schema([f.with_type(exact.get(f.name, f.type)) for f in reader.schema])
            yield pa.RecordBatch.from_pylist([], schema=schema)
            for batch in reader:
                arrays = [_number(v, f.type) for v, f in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _number(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers that came as text as exact decimals."""
    return values.cast(kind) if pa.types.is_decimal(kind) and pa.types.is_string(values.type) else values
