"""Tables of PostgreSQL, MySQL, MariaDB and SQLite: schema by SQLAlchemy's reflection, rows as Arrow batches.

Rows come through ADBC where there is a driver (PostgreSQL, SQLite), else from a server-side cursor in pieces. All tables
are read in one transaction, so that foreign keys agree. Every identifier is quoted by the dialect.
"""

from __future__ import annotations

import datetime
import decimal
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.exact_numbers import exact_type, from_text
from relbench_harness.authoring.sources import Reading, Reference, SourceTable
from relbench_harness.errors import InputError, nearest

BATCH = 50_000
_DIALECTS: dict[str, Any] = {"postgresql": postgresql.dialect, "mysql": mysql.dialect, "sqlite": sqlite.dialect}
# with named parameters no dialect doubles a % in an identifier
_NAMED = {name: dialect(paramstyle="named") for name, dialect in _DIALECTS.items()}
_NEEDS = {
    "postgresql": (("psycopg", "adbc_driver_postgresql"), "postgres"),
    "mysql": (("pymysql",), "mysql"),
    "sqlite": (("adbc_driver_sqlite",), None),
}


def sql_source(uri: str) -> SqlSource:
    """The database that `uri` names, if its drivers are installed. `?schema=` chooses a schema of PostgreSQL."""
    with cleansing(uri, "the URI of the source cannot be read"):
        url = sa.make_url(uri.replace("postgres://", "postgresql://", 1) if uri.startswith("postgres://") else uri)
    name = url.get_backend_name()
    name = "mysql" if name == "mariadb" else name
    for package in _NEEDS[name][0]:
        if importlib.util.find_spec(package) is None:
            extra = _NEEDS[name][1]
            wanted = f"'relbench-harness[{extra}]'" if extra else package.replace("_", "-")
            raise InputError(f"reading {name} needs the package {package}; install it with: pip install {wanted}")
    schema = url.query.get("schema")
    url = url.difference_update_query(["schema"])
    return SqlSource(url, name, schema if isinstance(schema, str) else None)


@dataclass(frozen=True, repr=False)
class SqlSource:
    """A database server or an SQLite file. Its `repr` shows no credentials."""

    url: sa.URL
    dialect: str
    schema: str | None = None
    ordered: bool = False

    def __repr__(self) -> str:
        return f"SqlSource({self.label})"

    @property
    def label(self) -> str:
        name = (self.url.database or "").rpartition("/")[2]
        return f"{self.dialect} database {name}"

    @property
    def uri(self) -> str:
        return self.url.render_as_string(hide_password=False)

    @contextmanager
    def open(self) -> Iterator[Reading]:
        reading = {"postgresql": _Postgres, "mysql": _MySQL, "sqlite": _SQLite}[self.dialect]
        with cleansing(self.uri, f"{self.label} cannot be read"), warnings.catch_warnings():
            # names in another letter case and types that it does not know, both of which are dealt with here
            warnings.simplefilter("ignore", sa.exc.SAWarning)
            with reading(self).opened() as opened:
                yield opened


@dataclass
class _Reflected:
    """What the three have in common: reflection and quoting."""

    source: SqlSource
    driver = ""

    @contextmanager
    def opened(self) -> Iterator[_Reflected]:
        try:
            with closing(self.connect()) as self.connection:
                yield self
        finally:
            self.engine.dispose()

    def connect(self) -> Any:
        raise NotImplementedError

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def quote(self, name: str) -> str:
        return str(_NAMED[self.source.dialect].identifier_preparer.quote_identifier(name))

    def named(self, table: str) -> str:
        return f"{self.quote(self.schema)}.{self.quote(table)}" if self.schema else self.quote(table)

    @cached_property
    def engine(self) -> sa.Engine:
        return sa.create_engine(self.source.url.set(drivername=self.driver))

    @cached_property
    def inspector(self) -> sa.Inspector:
        return sa.inspect(self.engine)

    @cached_property
    def schema(self) -> str | None:
        wanted = self.source.schema
        if wanted is not None and wanted not in self.inspector.get_schema_names():
            raise InputError(
                f"{self.source.label} has no schema {wanted!r}; {nearest(wanted, self.inspector.get_schema_names())}"
            )
        return wanted or self.inspector.default_schema_name

    def tables(self) -> list[SourceTable]:
        names = sorted(self.inspector.get_table_names(self.schema))
        if not names:
            raise InputError(f"{self.source.label} has no tables" + (f" in schema {self.schema!r}" if self.schema else ""))
        return [self._table(name, set(names)) for name in names]

    def _table(self, name: str, known: set[str]) -> SourceTable:
        inspector, schema = self.inspector, self.schema
        key = tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"])
        references = tuple(
            Reference(tuple(f["constrained_columns"]), f["referred_table"], tuple(f["referred_columns"]))
            for f in inspector.get_foreign_keys(name, schema)
            if f["referred_table"].lower() in {n.lower() for n in known} and f["referred_schema"] in (None, schema)
        )
        moments = frozenset(c for c, kind in self.kinds(name) if isinstance(kind, sa.Date | sa.DateTime))
        return SourceTable(name, key, references, moments=moments)

    def keyed(self, table: str) -> set[str]:
        """The columns of `table` that are part of a declared key or that a foreign key refers to, in lower case."""
        inspector, schema = self.inspector, self.schema
        found = set(inspector.get_pk_constraint(table, schema)["constrained_columns"])
        for constraint in inspector.get_unique_constraints(table, schema):
            found |= set(constraint["column_names"])
        for index in inspector.get_indexes(table, schema):
            # a foreign key may refer to what a unique index alone keeps unique
            found |= {c for c in index["column_names"] if c is not None} if index["unique"] else set()
        for reference in inspector.get_foreign_keys(table, schema):
            found |= set(reference["constrained_columns"])
        return {c.lower() for c in found}

    def kinds(self, table: str) -> list[tuple[str, Any]]:
        return [(str(c["name"]), c["type"]) for c in self.inspector.get_columns(table, self.schema)]


class _Postgres(_Reflected):
    driver = "postgresql+psycopg"

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
        plain = (sa.Integer, sa.Float, sa.Boolean, sa.Date, sa.DateTime, sa.LargeBinary, sa.Text)
        if isinstance(item, plain) or (isinstance(item, sa.String) and type(item) in (sa.String, sa.VARCHAR, sa.TEXT)):
            return quoted
        return f"CAST({quoted} AS text) AS {quoted}"

    def _exact(self, cursor: Any, table: str) -> dict[str, pa.DataType]:
        """Column → the type that keeps its numbers exactly: keys of any precision, and all whole numbers."""
        keyed, found = self.keyed(table), {}
        for name, kind in self.kinds(table):
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
            kept = exact_type(precision, scale, name.lower() in keyed)
            if kept is not None:
                found[name] = kept
        return found

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        with self.connection.cursor() as cursor:
            exact = self._exact(cursor, table)
            columns = ", ".join(self._column(name, kind, exact.get(name)) for name, kind in self.kinds(table))
            cursor.execute(f"SELECT {columns} FROM {self.named(table)}")
            reader = cursor.fetch_record_batch()
            schema = pa.schema([f.with_type(exact.get(f.name, f.type)) for f in reader.schema])
            yield pa.RecordBatch.from_pylist([], schema=schema)
            for batch in reader:
                arrays = [from_text(v, f.type) for v, f in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


class _SQLite(_Reflected):
    driver = "sqlite+pysqlite"

    def connect(self) -> Any:
        from pathlib import Path

        from adbc_driver_sqlite import dbapi

        path = Path(self.source.url.database or "")
        if not path.is_file():
            raise InputError(f"no SQLite file {path}; a URI reads sqlite:///relative/path or sqlite:////absolute/path")
        return dbapi.connect(str(path))

    @property
    def schema(self) -> str | None:
        return None

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """SQLite types each value, and its driver each column by its first rows: so ask first, then show it a typed row."""
        names = [name for name, _ in self.kinds(table)]
        with self.connection.cursor() as cursor:
            stored = self._stored(cursor, table, names)
            samples = {"text": "''", "real": "0.5", "integer": "0", "blob": "x'00'", "null": "''"}
            casts = {"text": "CAST({} AS TEXT)", "real": "CAST({} AS REAL)"}
            typed = ", ".join(f"{samples[stored[n]]} AS {self.quote(n)}" for n in names)
            columns = ", ".join(casts.get(stored[n], "{}").format(self.quote(n)) for n in names)
            cursor.execute(f"SELECT {typed} UNION ALL SELECT {columns} FROM {self.quote(table)}")
            first = True
            for batch in cursor.fetch_record_batch():
                yield batch.slice(1) if first else batch
                first = False

    def _stored(self, cursor: Any, table: str, names: list[str]) -> dict[str, str]:
        """The storage class that holds every value of each column: text, else real, else integer; blob if only that."""
        classes = ("text", "real", "integer", "blob")
        tests = ", ".join(f"max(typeof({self.quote(n)}) = '{c}')" for n in names for c in classes)
        cursor.execute(f"SELECT {tests} FROM {self.quote(table)}")
        row = list(cursor.fetchone())
        found = {}
        for index, name in enumerate(names):
            present = [c for c, there in zip(classes, row[index * 4 : index * 4 + 4], strict=True) if there]
            found[name] = ("text" if "blob" in present and len(present) > 1 else present[0]) if present else "null"
        return found


class _MySQL(_Reflected):
    driver = "mysql+pymysql"

    def connect(self) -> Any:
        pooled = self.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return connection

    def _spelled(self, table: str, texts: set[str]) -> tuple[dict[str, str], list[str]]:
        """Foreign keys of text as their parents spell them: under most collations 'abc' names the parent 'ABC'.

        Args:
            texts: The table's columns of text, in lower case.

        Returns:
            An expression for each such column, by its name in lower case, and the joins that they need.
        """
        columns: dict[str, str] = {}
        joins = []
        for place, key in enumerate(self.inspector.get_foreign_keys(table, self.schema)):
            pairs = list(zip(key["constrained_columns"], key["referred_columns"], strict=True))
            parent, alias = key["referred_table"], f"p{place}"
            new = any(mine.lower() in texts and mine.lower() not in columns for mine, _ in pairs)
            if not new or not self._is_unique(parent, {other.lower() for _, other in pairs}, key["referred_schema"]):
                continue
            schema = key["referred_schema"] or self.schema
            shown = f"{self.quote(schema)}.{self.quote(parent)}" if schema else self.quote(parent)
            same = " AND ".join(f"{alias}.{self.quote(other)} = r.{self.quote(mine)}" for mine, other in pairs)
            joins.append(f"LEFT JOIN {shown} {alias} ON {same}")
            for mine, other in pairs:
                if mine.lower() in texts:
                    columns.setdefault(
                        mine.lower(), f"coalesce({alias}.{self.quote(other)}, r.{self.quote(mine)}) AS {self.quote(mine)}"
                    )
        return columns, joins

    def _is_unique(self, table: str, columns: set[str], schema: str | None) -> bool:
        """Whether the server lets `columns`, in lower case, name at most one row; it takes foreign keys to any index."""
        schema = schema or self.schema
        unique = [self.inspector.get_pk_constraint(table, schema)["constrained_columns"]]
        unique += [c["column_names"] for c in self.inspector.get_unique_constraints(table, schema)]
        return any({c.lower() for c in names} == columns for names in unique)

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        from pymysql.cursors import SSCursor

        kinds = self.kinds(table)
        keyed = self.keyed(table)
        schema = pa.schema([(name, _arrow(kind, name.lower() in keyed)) for name, kind in kinds])
        readers = [_reader(field.type) for field in schema]
        yield pa.RecordBatch.from_pylist([], schema=schema)
        spelled, joins = self._spelled(table, {name.lower() for name, kind in kinds if isinstance(kind, sa.String)})
        columns = ", ".join(spelled.get(name.lower(), f"r.{self.quote(name)}") for name, _ in kinds)
        with self.connection.cursor(SSCursor) as cursor:
            cursor.execute(f"SELECT {columns} FROM {self.named(table)} r {' '.join(joins)}")
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
        return exact_type(kind.precision or 10, kind.scale or 0, keyed) or pa.float64()
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.TIMESTAMP):
        # an instant, which the session shows in UTC; a DATETIME lies in no zone
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us")
    if isinstance(kind, sa.types._Binary | mysql.BIT):
        return pa.binary()
    return pa.string()


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """How a value of the driver becomes one of Arrow's `kind`; None where it is one already."""
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        cast = float if pa.types.is_floating(kind) else int
        return lambda v: cast(v) if isinstance(v, decimal.Decimal) else v
    if pa.types.is_decimal(kind):
        return None
    if pa.types.is_timestamp(kind):
        return _moment
    if pa.types.is_date(kind):
        return lambda v: v if isinstance(v, datetime.date) else None
    return (lambda v: v if v is None or isinstance(v, str) else str(v)) if pa.types.is_string(kind) else None


def _moment(value: Any) -> datetime.datetime | None:
    """A date or time of the driver; what it cannot read (0000-00-00) it gives as text, which is no time."""
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    return None
