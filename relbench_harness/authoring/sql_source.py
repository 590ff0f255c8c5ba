"""Tables of PostgreSQL, MySQL, MariaDB and SQLite: schema by SQLAlchemy's reflection, rows as Arrow batches.

Rows come through ADBC where there is a driver (PostgreSQL, SQLite), else from a server-side cursor in pieces. All tables
are read in one transaction, so that foreign keys agree. Every identifier is quoted by the dialect.
"""

from __future__ import annotations

import datetime
import decimal
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.postgres_catalogue import Catalogue, Declared, base_type
from relbench_harness.authoring.sources import Reading, Reference, SourceTable, names_across, wanted_schemas
from relbench_harness.errors import InputError

BATCH = 50_000
_DIALECTS: dict[str, Any] = {"postgresql": postgresql.dialect, "mysql": mysql.dialect, "sqlite": sqlite.dialect}
# with named parameters no dialect doubles a % in an identifier
_NAMED = {name: dialect(paramstyle="named") for name, dialect in _DIALECTS.items()}
_NEEDS = {
    "postgresql": (("psycopg", "adbc_driver_postgresql"), "postgres"),
    "mysql": (("pymysql",), "mysql"),
    "sqlite": (("adbc_driver_sqlite",), None),
}


def listed(names: str) -> tuple[str, ...]:
    """`a,b` as names."""
    return tuple(name for part in names.split(",") if (name := part.strip()))


def sql_source(uri: str) -> SqlSource:
    """The database that `uri` names, if its drivers are installed. `?schema=a,b` chooses schemas (MySQL: databases)."""
    with cleansing(uri, "the URI of the source cannot be read"):
        url = sa.make_url(uri.replace("postgres://", "postgresql://", 1) if uri.startswith("postgres://") else uri)
    name = url.get_backend_name()
    name = "mysql" if name == "mariadb" else name
    for package in _NEEDS[name][0]:
        if importlib.util.find_spec(package) is None:
            extra = _NEEDS[name][1]
            wanted = f"'relbench-harness[{extra}]'" if extra else package.replace("_", "-")
            raise InputError(f"reading {name} needs the package {package}; install it with: pip install {wanted}")
    named = url.query.get("schema", "")
    schemas = listed(named if isinstance(named, str) else ",".join(named))
    if schemas and name == "sqlite":
        raise InputError("an SQLite file has no schemas; leave out ?schema=")
    return SqlSource(url.difference_update_query(["schema"]), name, schemas)


@dataclass(frozen=True, repr=False)
class SqlSource:
    """A database server or an SQLite file. Its `repr` shows no credentials."""

    url: sa.URL
    dialect: str
    schemas: tuple[str, ...] = ()
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
    notes: list[str] = field(default_factory=list)
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

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
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
        known = self.inspector.get_schema_names()
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
        spelled = {(s.lower(), t.lower()): name for (s, t), name in names.items()} | dict(names)
        named = [
            (columns, spelled.get(at) or spelled.get((at[0].lower(), at[1].lower())), theirs)
            for columns, at, theirs in found
        ]
        references = [Reference(columns, parent, theirs) for columns, parent, theirs in named if parent is not None]
        moments = frozenset(c for c, type in self.kinds(schema, table) if isinstance(type, sa.Date | sa.DateTime))
        return SourceTable(
            names[schema, table], key, tuple(dict.fromkeys(references)), moments=moments,
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
        if table.kind != "table":
            return set()
        inspector, name, schema = self.inspector, table.bare, table.schema or None
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


class _Postgres(_Reflected):
    driver = "postgresql+psycopg"

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.engine)

    def default_schemas(self, known: list[str]) -> list[str]:
        return [s for s in known if not s.startswith("pg_") and s != "information_schema"]

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
        plain = (sa.Integer, sa.Float, sa.Boolean, sa.Date, sa.DateTime, sa.LargeBinary, sa.Text)
        if isinstance(item, plain) or (isinstance(item, sa.String) and type(item) in (sa.String, sa.VARCHAR, sa.TEXT)):
            return quoted
        return f"CAST({quoted} AS text) AS {quoted}"

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
            kept = _decimal(precision, scale, name.lower() in keyed)
            if kept is not None:
                found[name] = kept
        return found

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        with self.connection.cursor() as cursor:
            exact = self._exact(cursor, table)
            columns = ", ".join(
                self._column(name, kind, exact.get(name)) for name, kind in self.kinds(table.schema, table.bare)
            )
            cursor.execute(f"SELECT {columns} FROM {self.named(table)}")
            reader = cursor.fetch_record_batch()
            schema = pa.schema([f.with_type(exact.get(f.name, f.type)) for f in reader.schema])
            yield pa.RecordBatch.from_pylist([], schema=schema)
            for batch in reader:
                arrays = [_number(v, f.type) for v, f in zip(batch.columns, schema, strict=True)]
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

    def schemas(self) -> list[str]:
        return [""]

    def found(self, schemas: list[str]) -> list[tuple[str, str, str]]:
        """A table that an extension keeps its own data in (a shadow table of full-text search) is none of the user's."""
        with self.engine.connect() as connection:
            listed = connection.exec_driver_sql("PRAGMA table_list").fetchall()
        own = {str(row[1]): str(row[2]) for row in listed if row[0] == "main" and not str(row[1]).startswith("sqlite_")}
        kinds = {"table": "table", "view": "view", "virtual": "virtual table"}
        return [("", name, kinds[kind]) for name, kind in own.items() if kind in kinds] or super().found(schemas)

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """SQLite types each value, and its driver each column by its first rows: so ask first, then show it a typed row."""
        names = [name for name, _ in self.kinds("", table.bare)]
        with self.connection.cursor() as cursor:
            stored = self._stored(cursor, table.bare, names)
            samples = {"text": "''", "real": "0.5", "integer": "0", "blob": "x'00'", "null": "''"}
            casts = {"text": "CAST({} AS TEXT)", "real": "CAST({} AS REAL)"}
            typed = ", ".join(f"{samples[stored[n]]} AS {self.quote(n)}" for n in names)
            columns = ", ".join(casts.get(stored[n], "{}").format(self.quote(n)) for n in names)
            cursor.execute(f"SELECT {typed} UNION ALL SELECT {columns} FROM {self.named(table)}")
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

    def default_schemas(self, known: list[str]) -> list[str]:
        """The URI's database; where it names none, all but the server's own."""
        own = ("information_schema", "mysql", "performance_schema", "sys")
        return [self.source.url.database] if self.source.url.database else [s for s in known if s.lower() not in own]

    def connect(self) -> Any:
        pooled = self.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return connection

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        from pymysql.cursors import SSCursor

        kinds, keyed = self.kinds(table.schema, table.bare), self.keyed(table)
        schema = pa.schema([(name, _arrow(kind, name.lower() in keyed)) for name, kind in kinds])
        readers = [_reader(field.type) for field in schema]
        yield pa.RecordBatch.from_pylist([], schema=schema)
        columns = ", ".join(self.quote(name) for name, _ in kinds)
        with self.connection.cursor(SSCursor) as cursor:
            cursor.execute(f"SELECT {columns} FROM {self.named(table)}")
            while rows := cursor.fetchmany(BATCH):
                arrays = [
                    pa.array(map(read, column) if read else column, type=field.type)
                    for read, field, column in zip(readers, schema, zip(*rows, strict=True), strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _decimal(precision: int, scale: int, keyed: bool) -> pa.DataType | None:
    """The type that keeps numbers of so many digits exactly; None for fractions that are no key, and beyond 76 digits."""
    if scale and not keyed:
        return None
    if not scale and precision <= 18:
        return pa.int64()
    if precision <= 38:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= 76 else None


def _number(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers that came as text as exact decimals."""
    return values.cast(kind) if pa.types.is_decimal(kind) and pa.types.is_string(values.type) else values


def _arrow(kind: Any, keyed: bool) -> pa.DataType:
    """The Arrow type of a MySQL column; `keyed` where it is part of a declared key."""
    if isinstance(kind, sa.Boolean | sa.Integer):
        return pa.uint64() if getattr(kind, "unsigned", False) and isinstance(kind, sa.BigInteger) else pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return _decimal(kind.precision or 10, kind.scale or 0, keyed) or pa.float64()
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
