"""What kind of thing a column holds: semantic types by pytorch-frame's names, inferred from the data or declared.

A dataset's manifest may declare them: `stypes: {column: numerical}` in a table's entry.
"""

from __future__ import annotations

import re
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest

SAMPLE = 200_000
"""Rows of a column that are looked at, evenly spread."""
FEW = 10
"""An integer column with no more distinct values is a category."""
MANY = 2_000
"""A text column with more distinct values is text, however often they repeat."""

_NAMED_AS_CODE = re.compile(
    r"(^|[_ .-])(id|code|type|status|category|class|kind)$|[a-z](Id|ID|Code|Type|Status|Class|Kind)$"
)


class Stype(StrEnum):
    """Semantic types (pytorch-frame's names)."""

    numerical = "numerical"
    categorical = "categorical"
    multicategorical = "multicategorical"
    timestamp = "timestamp"
    text_embedded = "text_embedded"
    embedding = "embedding"


def spread(column: pa.ChunkedArray, most: int = SAMPLE) -> pa.ChunkedArray:
    """At most `most` values of the column, evenly spread over its rows."""
    if len(column) <= most:
        return column
    return column.take(pa.array(np.linspace(0, len(column) - 1, most).astype(np.int64)))


def stypes(table: Table) -> dict[str, Stype]:
    """The semantic type of each attribute of `table`; attributes without use (all null, nested, binary) are left out."""
    result = {}
    for name in table.attributes:
        declared = table.stypes.get(name)
        found = infer(name, table.rows.column(name)) if declared is None else declare(table.name, name, declared)
        if found is not None:
            result[name] = found
    return result


def declare(table: str, column: str, stype: str) -> Stype:
    try:
        return Stype(stype)
    except ValueError:
        raise InputError(
            f"column {table}.{column}: no semantic type {stype!r}; {nearest(stype, [s.value for s in Stype])}"
        ) from None


def infer(name: str, column: pa.ChunkedArray) -> Stype | None:
    """The semantic type of a column, None where it can be of no use."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if column.null_count == len(column):
        return None
    if pa.types.is_boolean(kind):
        return Stype.categorical
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_duration(kind):
        return Stype.numerical
    if pa.types.is_temporal(kind):
        return Stype.timestamp
    if pa.types.is_integer(kind):
        return _integer(name, spread(column))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text(spread(column))
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _list(spread(column))
    return None


def _integer(name: str, values: pa.ChunkedArray) -> Stype:
    distinct = pc.count_distinct(values).as_py()
    if distinct <= FEW or (_NAMED_AS_CODE.search(name) and distinct <= MANY and 2 * distinct <= len(values)):
        return Stype.categorical
    return Stype.numerical


def _text(values: pa.ChunkedArray) -> Stype:
    distinct = pc.count_distinct(values).as_py()
    known = len(values) - values.null_count
    return Stype.categorical if distinct <= FEW or 2 * distinct <= min(known, 2 * MANY) else Stype.text_embedded


def _list(values: pa.ChunkedArray) -> Stype | None:
    inner = values.type.value_type
    if pa.types.is_floating(inner):
        lengths = pc.list_value_length(values.drop_null())
        return Stype.embedding if pc.count_distinct(lengths).as_py() == 1 and lengths[0].as_py() else None
    whole = pa.types.is_integer(inner) or pa.types.is_boolean(inner)
    return Stype.multicategorical if whole or pa.types.is_string(inner) or pa.types.is_large_string(inner) else None
