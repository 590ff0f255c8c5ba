"""Late dates in a dataset as it lies there: the check's side of `late_columns`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import duckdb
import pyarrow as pa

from relbench_harness.authoring.findings import Finding
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.late_columns import late_columns
from relbench_harness.data.database import Database
from relbench_harness.data.query import connect
from relbench_harness.data.table import Table

READ = 0.99
"""Share of a text column's values that read as times, from which it holds dates."""


def late_dates(database: Database, moved: Collection[str] = ()) -> Iterator[Finding]:
    """Date columns that lie after their row's time, with the columns that are filled only where they are.

    Args:
        moved: Tables that an import made of late columns; the end of the data is that of the others, as it was for the import.
    """
    ends = [int(t.times[-1]) for n, t in database.items() if n not in moved and t.times is not None and len(t)]
    end = max(ends, default=0)
    with connect() as connection:
        for table in database.values():
            if table.time is None or not len(table):
                continue
            connection.register("as_it_lies", table.rows)
            texts = _dates_as_texts(table, connection)
            read = ", ".join(f"TRY_CAST({quoted(c)} AS TIMESTAMP) AS {quoted(c)}" for c in texts)
            rows = f"SELECT * REPLACE ({read}) FROM as_it_lies" if texts else "FROM as_it_lies"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW checked AS {rows}")
            columns = {f.name: pa.timestamp("us") if f.name in texts else f.type for f in table.rows.schema}
            fixed = [table.key] if table.key is not None else []
            found = late_columns(
                "checked", columns, table.time, fixed, end, lambda sql: tuple(connection.execute(sql).fetchall()[0])
            )
            connection.execute("DROP VIEW checked")
            connection.unregister("as_it_lies")
            for late in found:
                moved = ", ".join((late.column, *late.companions))
                what = f"it is filled in later than its row is visible: {late.evidence}; {moved} would be rows of their own"
                yield Finding("late-date", f"{table.name}.{late.column}", what, late.after)


def _dates_as_texts(table: Table, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The text columns whose values read as times."""
    found = []
    for name in table.attributes:
        kind = table.rows.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = quoted(name)
            # a few rows tell most texts from dates
            for rows in ("(FROM as_it_lies LIMIT 1000)", "as_it_lies"):
                filled, read = connection.execute(
                    f"SELECT count({column}), count(TRY_CAST({column} AS TIMESTAMP)) FROM {rows}"
                ).fetchall()[0]
                if read < READ * filled:
                    break
            else:
                found += [name] if filled else []
    return found
