"""Predictions into PostgreSQL, MySQL, MariaDB and SQLite: SQLAlchemy for names and types, PostgreSQL's COPY for rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.sql_source import SqlSource, sql_source
from relbench_harness.data.query import quoted
from relbench_harness.errors import InputError
from relbench_harness.models.score_table import Column, Place, family

_OWN = ("table", "mode")
"""What of a URI's query is for the table, not for the driver."""
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite+pysqlite"}


def sql_server(uri: str) -> SqlServer:
    """The database that `uri` names. Raises `InputError` where its driver is not installed."""
    return SqlServer(sql_source(uri))


@dataclass(frozen=True)
class SqlServer:
    """A database server or an SQLite file."""

    source: SqlSource

    @property
    def label(self) -> str:
        return self.source.label

    @contextmanager
    def open(self, place: Place) -> Iterator[SqlWriting]:
        """One connection with one transaction, which is undone unless it is committed."""
        url = self.source.url.difference_update_query(_OWN)
        with cleansing(url.render_as_string(hide_password=False), f"{self.label} cannot be written to"):
            engine = sa.create_engine(url.set(drivername=_DRIVERS[self.source.dialect]), poolclass=sa.NullPool)
            try:
                with engine.connect() as connection:
                    yield _WRITINGS[self.source.dialect](connection, place)
            except sa.exc.DBAPIError as error:
                # what the driver says, without the statement and a link
                raise (error.orig or error) from None


class SqlWriting:
    """What the dialects have in common."""

    longest = 63
    begin: tuple[str, ...] = ()

    def __init__(self, connection: sa.Connection, place: Place) -> None:
        self.connection, self.place = connection, place
        for statement in self.begin:
            connection.exec_driver_sql(statement)

    def columns(self) -> list[Column] | None:
        inspector, (schema, name) = sa.inspect(self.connection), self.place
        if not inspector.has_table(name, schema):
            return None
        if name not in inspector.get_table_names(schema):
            raise InputError(f"{name!r} is no table but a view or the like, which cannot take predictions")
        return [
            Column(str(c["name"]), _family_of(c["type"]), str(c["type"]), not _may_lack(c))
            for c in inspector.get_columns(name, schema)
        ]

    def create(self, schema: pa.Schema) -> None:
        self.connection.execute(CreateTable(self._table(schema)))

    def clear(self, column: str, value: str | None) -> None:
        table = self._table(pa.schema([(column, pa.string())]))
        chosen = table.delete() if value is None else table.delete().where(table.c[column] == value)
        self.connection.execute(chosen)

    def insert(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        table = self._table(schema)
        for batch in batches:
            plain = pa.schema([field.with_type(self.stored(field.type)) for field in schema])
            rows = pa.Table.from_batches([batch]).cast(plain, safe=False)
            self.connection.execute(table.insert(), rows.to_pylist())

    def stored(self, kind: pa.DataType) -> pa.DataType:
        """The type as which values of the type `kind` are handed to the driver."""
        return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind

    def commit(self) -> None:
        self.connection.commit()

    def _table(self, schema: pa.Schema) -> sa.Table:
        columns = [sa.Column(field.name, _type(self.stored(field.type))) for field in schema]
        return sa.Table(self.place.table, sa.MetaData(), *columns, schema=self.place.schema)


class PostgresWriting(SqlWriting):
    begin = ("SET TIME ZONE 'UTC'",)

    def clear(self, column: str, value: str | None) -> None:
        """Two that append the same run follow each other; who only reads is not held up."""
        with self._cursor() as cursor:
            cursor.execute(f"LOCK TABLE {self._name()} IN SHARE ROW EXCLUSIVE MODE")
        super().clear(column, value)

    def insert(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        columns = ", ".join(map(quoted, schema.names))
        statement = f"COPY {self._name()} ({columns}) FROM STDIN (FORMAT csv, ENCODING 'utf8')"
        with self._cursor() as cursor, cursor.copy(statement) as copy:
            for batch in batches:
                copy.write(_csv(batch))

    def _name(self) -> str:
        return ".".join(quoted(part) for part in self.place if part)

    def _cursor(self) -> Any:
        """The driver's own, which takes names with % as they are."""
        driver: Any = self.connection.connection.driver_connection
        return driver.cursor()


def _csv(batch: pa.RecordBatch) -> bytes:
    """Rows as PostgreSQL reads them: what is missing is empty, texts are quoted, bytes are hexadecimal digits."""
    arrays = [_written(values) for values in batch.columns]
    file = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False)
    pacsv.write_csv(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names), file, options)
    return file.getvalue()


def _written(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([None if v is None else f"\\x{v.hex()}" for v in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        return pc.cast(values, pa.timestamp("us"), safe=False)
    return values.cast(pa.string()) if pa.types.is_decimal(kind) or pa.types.is_dictionary(kind) else values


class MySQLWriting(SqlWriting):
    """A new table is committed empty, before its rows, since this database knows no other way."""

    longest = 64 * 4
    begin = ("SET time_zone = '+00:00'",)

    def columns(self) -> list[Column] | None:
        found = super().columns()
        if found is not None:
            chosen = "engine FROM information_schema.tables WHERE table_name = :name AND table_schema = COALESCE(:schema, DATABASE())"
            named = {"name": self.place.table, "schema": self.place.schema}
            engine = self.connection.execute(sa.text(f"SELECT {chosen}"), named).scalar()
            if engine != "InnoDB":
                raise InputError(f"table {self.place.table!r} is of the engine {engine}, which knows no transactions")
        return found


class SQLiteWriting(SqlWriting):
    """The driver opens no transaction for a new table by itself; numbers that SQLite would round are texts."""

    longest = 1000
    begin = ("BEGIN IMMEDIATE",)

    def stored(self, kind: pa.DataType) -> pa.DataType:
        return pa.string() if pa.types.is_decimal(kind) or kind == pa.uint64() else super().stored(kind)


_WRITINGS: dict[str, type[SqlWriting]] = {"postgresql": PostgresWriting, "mysql": MySQLWriting, "sqlite": SQLiteWriting}


def _type(kind: pa.DataType) -> Any:
    """The type that a new column has."""
    if pa.types.is_decimal(kind):
        return sa.Numeric(kind.precision, kind.scale)
    if kind == pa.uint64():
        return sa.Numeric(20, 0)
    return {
        "whole number": sa.BigInteger(),
        "number": sa.Double(),
        "time": sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql"),
        "date": sa.Date(),
        "flag": sa.Boolean(),
        "bytes": sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql"),
        "text": sa.Text().with_variant(mysql.LONGTEXT(), "mysql"),
    }[family(kind)]


def _family_of(kind: Any) -> str:
    """What a column that is there holds, in the words of `family`."""
    tests = (
        ("flag", sa.Boolean), ("whole number", sa.Integer), ("number", sa.Float), ("date", sa.Date), ("time", sa.DateTime),
        ("uuid", sa.Uuid), ("bytes", sa.types._Binary), ("text", sa.String), ("any", sa.types.NullType),
    )  # fmt: skip
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        return "exact" if kind.scale is None else "decimal"
    return next((name for name, of in tests if isinstance(kind, of)), "other")


def _may_lack(column: Any) -> bool:
    """Whether a row without a value for the column can be written."""
    filled = (column.get("default"), column.get("identity"), column.get("computed"))
    return bool(column["nullable"] or any(filled) or column.get("autoincrement") is True)
