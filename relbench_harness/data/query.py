"""SQL over tables: once over given Arrow tables, or again and again over cuts of one database.

The SQL of a manifest is foreign code, so it sees the tables it is given and nothing else: no file, no network, no
variable of the calling Python, no time zone but UTC. Names of ours beside them are free ones: no table, column or schema that
the SQL names can be taken for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import InputError


def connect(**config: str | bool | int) -> duckdb.DuckDBPyConnection:
    """A database in memory that can reach nothing outside it."""
    closed = {"enable_external_access": False, "python_enable_replacements": False}
    connection = duckdb.connect(config={**closed, **config})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run_sql(sql: str, tables: Mapping[str, pa.Table], what: str, **config: str | bool | int) -> pa.Table:
    """The result of `sql` over `tables`, which DuckDB reads without copying.

    Args:
        what: Whose SQL it is, in errors.
        config: DuckDB's settings; `threads=1` makes sums of floats the same from run to run.

    Raises:
        InputError: SQL that does not run; `what` says whose it is.
    """
    _check_names(tables, what)
    connection = connect(**config)
    try:
        for name, rows in tables.items():
            connection.register(name, rows)
        return _result(connection, sql, what)
    finally:
        connection.close()


def _result(connection: duckdb.DuckDBPyConnection, sql: str, what: str) -> pa.Table:
    try:
        relation = connection.sql(sql)
        if relation is None:
            raise InputError(f"{what} yields no rows: it is no SELECT")
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise InputError(f"{what} does not run: {' '.join(str(error).split())}") from None
    except RuntimeError as error:
        # what a signal's handler raises while a query runs, DuckDB puts this in the place of
        if "interrupted" in str(error):
            end_if_signalled()
            raise KeyboardInterrupt from None
        raise


class CutQueries:
    """Answers SQL about a database as it stood at one instant after another, loading what the SQL names once.

    What the SQL sees at `t` equals `database.upto(t)`: rows older than `t`, and null where a foreign key names a row
    that is not among them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # each query is small, so handing it to several threads costs more than it saves
        self._connection = connect(threads=1)
        self._schema = free("relbench_harness_rows", database)
        self._connection.execute(f"CREATE SCHEMA {quoted(self._schema)}")
        self._loaded: set[str] = set()

    def __enter__(self) -> CutQueries:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def run(self, sql: str, t: int, relations: Mapping[str, pa.Table], what: str) -> pa.Table:
        """The result of `sql` on the rows older than `t` (nanoseconds) and on `relations`."""
        _check_names([*self._database, *relations], what)
        counts = {name: int(table.visible(t)[0]) for name, table in self._database.items()}
        for table in self._named(sql):
            self._load(table)
            self._connection.execute(_view(table, self._schema, counts))
        for name, rows in relations.items():
            self._connection.register(name, rows)
        return _result(self._connection, sql, what)

    def _named(self, sql: str) -> list[Table]:
        """The tables whose names occur in `sql`: all that it reads, perhaps more."""
        text = sql.casefold()
        return [t for name, t in self._database.items() if quoted(name)[1:-1].casefold() in text]

    def _load(self, table: Table) -> None:
        if table.name in self._loaded:
            return
        numbered = table.rows.append_column(_position(table), pa.array(np.arange(len(table), dtype=np.int64)))
        incoming = free("relbench_harness_incoming", self._database)
        self._connection.register(incoming, numbered)
        stored = f"{quoted(self._schema)}.{quoted(table.name)}"
        self._connection.execute(f"CREATE TABLE {stored} AS SELECT * FROM {quoted(incoming)}")
        self._connection.unregister(incoming)
        self._loaded.add(table.name)


def _position(table: Table) -> str:
    """The column that numbers the rows of the stored table."""
    return free("position", table.rows.column_names)


def _view(table: Table, schema: str, counts: Mapping[str, int]) -> str:
    """The rows that are visible, without their numbers."""
    columns = []
    for column in table.rows.column_names:
        value, parent = quoted(column), table.references.get(column)
        columns.append(value if parent is None else f"CASE WHEN {value} < {counts[parent]} THEN {value} END AS {value}")
    name = quoted(table.name)
    where = f"{quoted(_position(table))} < {counts[table.name]}"
    return f"CREATE OR REPLACE VIEW {name} AS SELECT {', '.join(columns)} FROM {quoted(schema)}.{name} WHERE {where}"


def _check_names(names: Iterable[str], what: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise InputError(
                f"{what} cannot tell tables {seen[name.lower()]!r} and {name!r} apart, which differ in case only"
            )
        seen[name.lower()] = name


def free(name: str, taken: Iterable[str]) -> str:
    """`name`, with underscores where `taken` has it, letter case aside: the one way to a name that no name of a user's is."""
    lower = {t.lower() for t in taken}
    while name.lower() in lower:
        name += "_"
    return name


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
