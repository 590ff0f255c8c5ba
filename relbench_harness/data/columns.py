"""Columns as other columns: what trees and networks both need before they read one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def in_one_piece(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`values` as a single array."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def ticks(values: Any) -> Any:
    """Dates, times, timestamps and durations as integers in their own unit."""
    return values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())


def by_frequency(values: pa.ChunkedArray | pa.Array) -> pa.Table:
    """The distinct values (`value`) and their counts (`count`): the most frequent first, ties in order of value; no nulls."""
    counts = pc.value_counts(in_one_piece(values).drop_null())
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    if pa.types.is_boolean(table["value"].type):
        return table.sort_by([("count", "descending")])
    return table.sort_by([("count", "descending"), ("value", "ascending")])
