"""Late dates in a dataset as it lies there: the check's side of `late_columns`."""

from __future__ import annotations

from collections.abc import Iterator

from relbench_harness.authoring.findings import Finding
from relbench_harness.authoring.late_columns import late_columns
from relbench_harness.data.database import Database
from relbench_harness.data.query import connect


def late_dates(database: Database) -> Iterator[Finding]:
    """Date columns that lie after their row's time, with the columns that are filled only where they are."""
    end = database.span[1]
    with connect() as connection:
        for table in database.values():
            if table.time is None or not len(table):
                continue
            connection.register("checked", table.rows)
            columns = {f.name: f.type for f in table.rows.schema}
            fixed = [table.key] if table.key is not None else []
            found = late_columns(
                "checked", columns, table.time, fixed, end, lambda sql: tuple(connection.execute(sql).fetchall()[0])
            )
            connection.unregister("checked")
            for late in found:
                moved = ", ".join((late.column, *late.companions))
                what = f"it is filled in later than its row is visible: {late.evidence}; {moved} would be rows of their own"
                yield Finding("late-date", f"{table.name}.{late.column}", what, late.after)
