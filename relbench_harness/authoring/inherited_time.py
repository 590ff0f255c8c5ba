"""Times for tables that have none: rows that belong to a row with a time came to be no earlier than it.

Without one, such a table (order lines are the usual case) would be visible whole to every question, its future included.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.numbering import Decision, parent_join
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
    one, parent = staged[name], decisions[reference.parent]
    assert parent.time is not None  # whoever calls has looked
    taken = {n.lower() for n in (*one.schema.names, one.position, *(f.name for f in one.raw.values()))}
    column = parent.time
    while column.lower() in taken:
        column = f"{reference.parent}_{column}"
    path = one.path.with_suffix(".timed.parquet")
    bench.connection.execute(
        f"COPY (SELECT r.*, p.{quoted(parent.time)} AS {quoted(column)} FROM {quoted(name)} r "
        f"LEFT JOIN {quoted(reference.parent)} p ON {parent_join(staged, name, reference, 'r', 'p')} "
        f"ORDER BY r.{quoted(one.position)}) TO {text(str(path))} (FORMAT parquet)"
    )
    one.path, one.schema = path, pa.schema([*one.schema, pq.read_schema(path).field(column)])
    bench.view(name, path)
    decisions[name].time = column
    return column
