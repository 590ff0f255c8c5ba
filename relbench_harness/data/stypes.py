"""What kind of thing a column holds: semantic types by pytorch-frame's names, inferred from the data or declared.

A dataset's manifest may declare them: `stypes: {column: numerical}` in a table's entry. Invariant: this is the only inference.
Networks encode a column by its semantic type, and trees read it by a kind that follows from that type (`features.encode`).
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
"""An integer or text column with no more distinct values is a category."""
MOST_CODES = 2_000
"""An integer column that is named as a code is no category if it has more distinct values."""
MOST_TEXTS = 10_000
"""A text column with more distinct values is text, however often they repeat: a network has no code for each of them."""

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
    found = {name: stype_of(table, name) for name in table.attributes}
    return {name: stype for name, stype in found.items() if stype is not None}


def stype_of(table: Table, column: str) -> Stype | None:
    """The semantic type of a column of `table`: as declared, else inferred from its rows; None where it is of no use.

    Raises:
        InputError: The declared type does not exist, or the column is stored as something that cannot be it.
    """
    declared, values = table.stypes.get(column), table.rows.column(column)
    return infer(column, values) if declared is None else declare(f"{table.name}.{column}", values.type, declared)


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


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the stored type `kind` are strings, of any layout."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, of equal or of any length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values are numbers: booleans, decimals and durations as well."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_duration(kind)
    )


def is_instant(kind: pa.DataType) -> bool:
    """Whether values are points in time, of a day alone as well."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind))


def _can_be(stype: Stype, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if stype is Stype.embedding:
        return is_list(kind) and is_number(kind.value_type)
    if stype is Stype.multicategorical:
        listed = is_list(kind) and (is_number(kind.value_type) or is_text(kind.value_type))
        return listed or is_text(kind)
    if stype is Stype.timestamp:
        whole = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        return is_instant(kind) or is_text(kind) or whole
    if stype is Stype.categorical and pa.types.is_float16(kind):
        return False
    return is_number(kind) or is_text(kind) or is_instant(kind)


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
    if is_instant(kind):
        return Stype.timestamp
    if pa.types.is_integer(kind):
        return _integer(name, spread(column))
    if is_text(kind):
        return _text(spread(column))
    if is_list(kind):
        return _list(spread(column))
    return None


def _integer(name: str, values: pa.ChunkedArray) -> Stype:
    distinct = pc.count_distinct(values).as_py()
    if distinct <= FEW or (_NAMED_AS_CODE.search(name) and distinct <= MOST_CODES and 2 * distinct <= len(values)):
        return Stype.categorical
    return Stype.numerical


def _text(values: pa.ChunkedArray) -> Stype:
    """A category where there are few values, or each occurs twice on average."""
    distinct = pc.count_distinct(values).as_py()
    known = len(values) - values.null_count
    return Stype.categorical if distinct <= FEW or 2 * distinct <= min(known, 2 * MOST_TEXTS) else Stype.text_embedded


def _list(values: pa.ChunkedArray) -> Stype | None:
    inner = values.type.value_type
    if pa.types.is_floating(inner):
        lengths = pc.list_value_length(values.drop_null())
        return Stype.embedding if pc.count_distinct(lengths).as_py() == 1 and lengths[0].as_py() else None
    whole = pa.types.is_integer(inner) or pa.types.is_boolean(inner)
    return Stype.multicategorical if whole or is_text(inner) else None


def parsed(texts: Any) -> Any:
    """Texts that are declared to be numbers, as float64; what is none becomes null."""
    numeric = pc.match_substring_regex(texts, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    return pc.if_else(pc.fill_null(numeric, False), texts, pa.scalar(None, texts.type)).cast(pa.float64())


def parsed_days(texts: Any) -> Any:
    """Texts that are declared to be timestamps, written `2020-12-31`, as timestamp[s]; what is none becomes null."""
    return pc.strptime(texts, "%Y-%m-%d", "s", error_is_null=True)
