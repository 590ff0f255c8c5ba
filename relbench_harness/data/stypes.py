"""What kind of thing a column holds: semantic types by pytorch-frame's names, inferred from the data or declared.

A dataset's manifest may declare them: `stypes: {column: numerical}` in a table's entry.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

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
        column = table.rows.column(name)
        found = infer(name, column) if declared is None else declare(f"{table.name}.{name}", column.type, declared)
        if found is not None:
            result[name] = found
    return result


def declare(column: str, kind: pa.DataType, declared: str) -> Stype:
    """The semantic type that the manifest gives `column`, checked against how the column is stored."""
    if declared not in [s.value for s in Stype]:
        choices = nearest(declared, [s.value for s in Stype])
        raise InputError(f"column {column}: no semantic type {declared!r}; {choices}")
    if not _can_be(Stype(declared), kind):
        raise InputError(f"column {column} cannot be {declared}: it is stored as {kind}")
    return Stype(declared)


def plain(values: Any) -> Any:
    """Without dictionary encoding, texts in one layout."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values.cast(pa.large_string()) if pa.types.is_string_view(values.type) else values


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_duration(kind)
    )


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind))


def _can_be(stype: Stype, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if stype is Stype.embedding:
        return _is_list(kind) and _is_number(kind.value_type)
    if stype is Stype.multicategorical:
        listed = _is_list(kind) and (_is_number(kind.value_type) or _is_text(kind.value_type))
        return listed or _is_text(kind)
    if stype is Stype.timestamp:
        whole = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        return _is_instant(kind) or _is_text(kind) or whole
    if stype is Stype.categorical and pa.types.is_float16(kind):
        return False
    return _is_number(kind) or _is_text(kind) or _is_instant(kind)


def infer(name: str, column: pa.ChunkedArray) -> Stype | None:
    """The semantic type of a column, None where it can be of no use."""
    column = plain(column)
    kind = column.type
    if column.null_count == len(column):
        return None
    if pa.types.is_boolean(kind):
        return Stype.categorical
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_duration(kind):
        return Stype.numerical
    if _is_instant(kind):
        return Stype.timestamp
    if pa.types.is_integer(kind):
        return _integer(name, spread(column))
    if _is_text(kind):
        return _text(spread(column))
    if _is_list(kind):
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
