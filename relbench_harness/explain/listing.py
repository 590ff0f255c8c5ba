"""The rows of an explanation as a table in the words of the source: original keys, times, signed amounts, the way to the entity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.explain.explanation import Explanation, Part

Keys = Callable[[str], pa.Table]
"""Table → the original key of each row, a column per key column."""
ARROW = " → "


def keys_of(database: Database) -> Keys:
    """The keys that rows had before canonical order, else row numbers.

    An imported dataset has its own (`authoring.original_keys`).
    """

    def keys(table: str) -> pa.Table:
        rows = database[table]
        origin = rows.origin if rows.origin is not None else pa.array(np.arange(len(rows)))
        return pa.table({rows.key or "row": origin})

    return keys


def row_listing(explanation: Explanation, keys: Keys) -> pa.Table:
    """One line per row, the greatest amounts first.

    Columns: `table`, `key`, `time`, `amount`, `low`, `high`, `path`, `keys away`, and `way`: the rows between it and the entity,
    the entity last.
    """
    known: dict[str, pa.Table] = {}

    def key(table: str | None, row: int | None) -> str:
        name = table or ""
        if name not in known:
            known[name] = keys(name)
        return ", ".join(str(column[row].as_py()) for column in known[name].columns)

    def way(part: Part) -> str:
        return ARROW.join(f"{table} {key(table, row)}" for table, row in part.via)

    amounts = explanation.of("row")
    parts = [amount.part for amount in amounts]
    return pa.table(
        {
            "table": pa.array([part.table for part in parts], pa.string()),
            "key": pa.array([key(part.table, part.row) for part in parts], pa.string()),
            "time": pa.array([part.time for part in parts], pa.timestamp("ns")),
            "amount": pa.array([amount.value for amount in amounts], pa.float64()),
            "low": pa.array([amount.low for amount in amounts], pa.float64()),
            "high": pa.array([amount.high for amount in amounts], pa.float64()),
            "path": pa.array([part.path for part in parts], pa.string()),
            "keys away": pa.array([part.hop for part in parts], pa.int64()),
            "way": pa.array([way(part) for part in parts], pa.string()),
        }
    )
