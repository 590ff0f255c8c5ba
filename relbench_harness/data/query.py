"""SQL over tables: once over given Arrow tables, or again and again over cuts of one database.

The SQL of a manifest is foreign code, so it sees the tables it is given and nothing else: no file, no network, no
variable of the calling Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import duckdb
import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError


def connect(**config: str | bool | int) -> duckdb.DuckDBPyConnection:
    """A database in memory that can reach nothing outside it."""
    closed = {"enable_external_access": False, "python_enable_replacements": False}
    return duckdb.connect(config={**closed, **config})


def run_sql(sql: str, tables: Mapping[str, pa.Table], what: str, **config: str | bool | int) -> pa.Table:
    """The result of `sql` over `tables`, which DuckDB reads without copying.

    Args:
        what: Whose SQL it is, in errors.
        config: DuckDB's settings; `threads=1` makes sums of floats the same from run to run.

    Raises:
        InputError: SQL that does not run; `what` says whose it is.
    """
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


class CutQueries:
    """Answers SQL about a database as it stood at one instant after another, loading what the SQL names once.

    What the SQL sees at `t` equals `database.upto(t)`: rows older than `t`, and null where a foreign key names a row
    that is not among them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # each query is small, so handing it to several threads costs more than it saves
        self._connection = connect(threads=1)
        self._connection.execute("CREATE SCHEMA stored")
        self._loaded: set[str] = set()

    def __enter__(self) -> CutQueries:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def run(self, sql: str, t: int, relations: Mapping[str, pa.Table], what: str) -> pa.Table:
        """The result of `sql` on the rows older than `t` (nanoseconds) and on `relations`."""
        counts = {name: int(table.visible(t)[0]) for name, table in self._database.items()}
        for table in self._named(sql):
            self._load(table)
            self._connection.execute(_view(table, counts))
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
        self._connection.register("incoming", table.rows)
        self._connection.execute(f"CREATE TABLE stored.{quoted(table.name)} AS SELECT * FROM incoming")
        self._connection.unregister("incoming")
        self._loaded.add(table.name)


def _view(table: Table, counts: Mapping[str, int]) -> str:
    detached = [
        f"CASE WHEN {quoted(column)} < {counts[parent]} THEN {quoted(column)} END AS {quoted(column)}"
        for column, parent in table.references.items()
    ]
    replaced = f" REPLACE ({', '.join(detached)})" if detached else ""
    name = quoted(table.name)
    return f"CREATE OR REPLACE VIEW {name} AS SELECT *{replaced} FROM stored.{name} WHERE rowid < {counts[table.name]}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
