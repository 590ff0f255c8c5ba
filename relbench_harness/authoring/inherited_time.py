"""Times for tables that have none: rows that belong to a row with a time came to be no earlier than it.

Without one, such a table (order lines are the usual case) would be visible whole to every question, its future included.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged


def lender(name: str, decisions: Mapping[str, Decision]) -> Reference | None:
    """The one reference of `name` to a table with a time; None where there are none or several."""
    timed = [r for r in decisions[name].references if r.parent != name and decisions[r.parent].time is not None]
    return timed[0] if len(timed) == 1 else None


def inherit(
    name: str, reference: Reference, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench
) -> str:
    """Give `name` a time column with its parents' times; returns the column's name, which the table lacked."""
    parent = decisions[reference.parent]
    assert parent.time is not None  # whoever calls has looked
    taken = {f.name.lower() for f in staged[name].schema}
    column = parent.time
    while column.lower() in taken:
        column = f"{reference.parent}_{column}"
    source = f"p.{quoted(parent.time)}"
    if parent.time in parent.moments:
        source = f"CAST(CAST({source} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP_NS)"
    on = " AND ".join(
        f"CAST(r.{quoted(a)} AS VARCHAR) = CAST(p.{quoted(b)} AS VARCHAR)"
        if staged[name].schema.field(a).type != staged[reference.parent].schema.field(b).type
        else f"r.{quoted(a)} = p.{quoted(b)}"
        for a, b in zip(reference.columns, reference.parent_columns, strict=True)
    )
    path = staged[name].path.with_suffix(".timed.parquet")
    bench.connection.execute(
        f"COPY (SELECT r.* EXCLUDE (file_row_number), {source} AS {quoted(column)} FROM {quoted(name)} r "
        f"LEFT JOIN {quoted(reference.parent)} p ON {on} ORDER BY r.file_row_number) TO {text(str(path))} (FORMAT parquet)"
    )
    one = staged[name]
    one.path, one.schema = path, pa.schema([*one.schema, pq.read_schema(path).field(column)])
    bench.view(name, path)
    decisions[name].time = column
    return column
