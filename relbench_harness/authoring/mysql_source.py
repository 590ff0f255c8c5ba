"""Rows of MySQL and MariaDB, from a server-side cursor in pieces, in one read-only transaction."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from relbench_harness.authoring.reflection import Reflected, exact_decimal
from relbench_harness.authoring.sources import SourceTable

BATCH = 50_000


class MySQL(Reflected):
    driver = "mysql+pymysql"

    def default_schemas(self, known: list[str]) -> list[str]:
        """The URI's database; where it names none, all but the server's own."""
        return [self.source.url.database] if self.source.url.database else known

    def connect(self) -> Any:
        pooled = self.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return connection

    def _spelled(self, table: SourceTable, texts: set[str]) -> tuple[dict[str, str], list[str]]:
        """Foreign keys of text as their parents spell them: under most collations 'abc' names the parent 'ABC'.

        Args:
            texts: The table's columns of text, in lower case.

        Returns:
            An expression for each such column, by its name in lower case, and the joins that they need.
        """
        columns: dict[str, str] = {}
        joins = []
        declared = self.constraints(table.schema, table.bare)[1] if table.kind == "table" else []
        for place, (own, (schema, parent), theirs) in enumerate(declared):
            pairs = list(zip(own, theirs, strict=True))
            new = any(mine.lower() in texts and mine.lower() not in columns for mine in own)
            if not new or not self._is_unique(schema, parent, {other.lower() for other in theirs}):
                continue
            alias = f"p{place}"
            same = " AND ".join(f"{alias}.{self.quote(other)} = r.{self.quote(mine)}" for mine, other in pairs)
            joins.append(f"LEFT JOIN {self.quote(schema)}.{self.quote(parent)} {alias} ON {same}")
            for mine, other in pairs:
                if mine.lower() in texts:
                    spelled = f"coalesce({alias}.{self.quote(other)}, r.{self.quote(mine)}) AS {self.quote(mine)}"
                    columns.setdefault(mine.lower(), spelled)
        return columns, joins

    def _is_unique(self, schema: str, table: str, columns: set[str]) -> bool:
        """Whether the server lets `columns`, in lower case, name at most one row; it takes foreign keys to any index."""
        unique = [self.inspector.get_pk_constraint(table, schema)["constrained_columns"]]
        unique += [c["column_names"] for c in self.inspector.get_unique_constraints(table, schema)]
        return any({c.lower() for c in names} == columns for names in unique)

    def rows(self, table: SourceTable, where: str) -> Iterator[pa.RecordBatch]:
        from pymysql.cursors import SSCursor

        kinds = self.kinds(table.schema, table.bare)
        keyed = self.keyed(table)
        schema = pa.schema([(name, _arrow(kind, name.lower() in keyed)) for name, kind in kinds])
        readers = [_reader(field.type) for field in schema]
        yield pa.RecordBatch.from_pylist([], schema=schema)
        spelled, joins = self._spelled(table, {name.lower() for name, kind in kinds if isinstance(kind, sa.String)})
        columns = ", ".join(spelled.get(name.lower(), f"r.{self.quote(name)}") for name, _ in kinds)
        with self.connection.cursor(SSCursor) as cursor:
            cursor.execute(f"SELECT {columns} FROM {self.named(table)} r {' '.join(joins)}{where}")
            while rows := cursor.fetchmany(BATCH):
                arrays = [
                    pa.array(map(read, column) if read else column, type=field.type)
                    for read, field, column in zip(readers, schema, zip(*rows, strict=True), strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _arrow(kind: Any, keyed: bool) -> pa.DataType:
    """The Arrow type of a MySQL column; `keyed` where it is part of a declared key."""
    if isinstance(kind, sa.Boolean | sa.Integer):
        return pa.uint64() if getattr(kind, "unsigned", False) and isinstance(kind, sa.BigInteger) else pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return exact_decimal(kind.precision or 10, kind.scale or 0, keyed) or pa.float64()
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.TIMESTAMP):
        # an instant, which the session shows in UTC; a DATETIME lies in no zone
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us")
    if isinstance(kind, mysql.BIT):
        # one bit is how Java's tools write true and false
        return pa.bool_() if (kind.length or 1) == 1 else pa.uint64() if kind.length == 64 else pa.int64()
    if isinstance(kind, mysql.YEAR):
        return pa.int64()
    if isinstance(kind, sa.types._Binary):
        return pa.binary()
    return pa.string()


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """How a value of the driver becomes one of Arrow's `kind`; None where it is one already."""
    if pa.types.is_boolean(kind):
        return lambda v: any(v) if isinstance(v, bytes) else v
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        cast = float if pa.types.is_floating(kind) else int
        return lambda v: (
            int.from_bytes(v, "big") if isinstance(v, bytes) else cast(v) if isinstance(v, decimal.Decimal) else v
        )
    if pa.types.is_decimal(kind):
        return None
    if pa.types.is_timestamp(kind):
        return _moment
    if pa.types.is_date(kind):
        return lambda v: v if isinstance(v, datetime.date) else None
    return _text if pa.types.is_string(kind) else None


def _text(value: Any) -> str | None:
    """A text, or what has no type of its own as the server writes it: the driver gives a TIME as a length of time."""
    if isinstance(value, datetime.timedelta):
        seconds = abs(value) // datetime.timedelta(seconds=1)
        fraction = f".{abs(value).microseconds:06}" if value.microseconds else ""
        return f"{'-' * (value < datetime.timedelta(0))}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
    return value if value is None or isinstance(value, str) else str(value)


def _moment(value: Any) -> datetime.datetime | None:
    """A date or time of the driver; what it cannot read (0000-00-00) it gives as text, which is no time."""
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    return None
