"""How the values of a foreign key are compared with those of a parent's key: the one rule, in SQL and on Arrow arrays.

Invariant: whoever asks whether a row names a parent (proposals, an import, a check, a dataset's tables) compares by the same
`Form` for the same two types, and no number goes through a type that cannot hold it.
"""

from __future__ import annotations

import decimal
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.stypes import is_text

_WHOLE = pa.decimal128(38, 0)
_EXACT = 2.0**63
"""Floats below it are whole numbers of 64 bits where they have no fraction."""


class Form(Enum):
    """What two columns are turned into before their values are compared.

    SAME: as they are. WHOLE: numbers as exact integers, fractions match nothing. TEXT: numbers as their shortest text (an integer
    as its digits), texts as they are. BYTES: texts as UTF-8. TIME: times as UTC.
    """

    SAME = "same"
    WHOLE = "whole"
    TEXT = "text"
    BYTES = "bytes"
    TIME = "time"


def is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_whole(kind: pa.DataType) -> bool:
    """Whether every value of the type is an integer."""
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


def _is_number(kind: pa.DataType) -> bool:
    return _is_whole(kind) or bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def common_form(child: pa.DataType, parent: pa.DataType) -> Form | None:
    """The form in which a foreign key of type `child` is compared with a key of type `parent`; None where none is right."""
    if pa.types.is_null(child) or pa.types.is_null(parent):
        return Form.SAME
    if _is_number(child) and _is_number(parent):
        if child == parent:
            return Form.SAME
        return Form.WHOLE if _is_whole(child) or _is_whole(parent) else Form.TEXT
    if is_text(child) and is_text(parent):
        return Form.SAME
    if (is_text(child) and _is_number(parent)) or (_is_number(child) and is_text(parent)):
        return None if pa.types.is_boolean(child) or pa.types.is_boolean(parent) else Form.TEXT
    if (is_bytes(child) or is_text(child)) and (is_bytes(parent) or is_text(parent)):
        return Form.BYTES
    if _is_time(child) and _is_time(parent):
        return Form.TIME
    return None


# -- in SQL ---------------------------------------------------------------------------------------------------------------


def same_key(child: str, child_type: pa.DataType, parent: str, parent_type: pa.DataType) -> str | None:
    """The DuckDB condition that two SQL expressions name the same key; None where types cannot be compared."""
    form = common_form(child_type, parent_type)
    if form is None:
        return None
    return f"{key_sql(child, child_type, form)} = {key_sql(parent, parent_type, form)}"


def key_sql(value: str, kind: pa.DataType, form: Form) -> str:
    """The DuckDB expression of `value`, an expression of Arrow type `kind`, in `form`."""
    if form is Form.WHOLE:
        return _whole_sql(value, kind)
    if form is Form.BYTES:
        return f"encode({value})" if is_text(kind) else value
    if form is Form.TIME:
        return f"CAST({value} AS TIMESTAMP_NS)"
    if form is Form.SAME or is_text(kind):
        return value
    shown = f"CAST({value} AS VARCHAR)"
    if pa.types.is_decimal(kind) and kind.scale > 0:
        return f"rtrim(rtrim({shown}, '0'), '.')"
    if pa.types.is_floating(kind):
        return f"coalesce(CAST({_whole_sql(value, kind)} AS VARCHAR), {shown})"
    return shown


def _whole_sql(value: str, kind: pa.DataType) -> str:
    if pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0):
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS HUGEINT) END"
    return f"CAST({value} AS HUGEINT)"


# -- on Arrow arrays ------------------------------------------------------------------------------------------------------


def positions(values: pa.ChunkedArray, keys: pa.ChunkedArray) -> pa.Array | None:
    """(n,) int64 position of each of `values` in the unique `keys`, null where it is absent or null.

    None where the types cannot be compared.
    """
    values, keys = plain(values), plain(keys)
    if pa.types.is_null(values.type) or pa.types.is_null(keys.type):
        return pa.nulls(len(values), pa.int64())
    form = common_form(values.type, keys.type)
    if form is None:
        return None
    if form is Form.WHOLE and counts_rows(keys) and pa.types.is_integer(values.type) and values.type != pa.uint64():
        numbers = values.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, len(keys)))
        return single(pc.if_else(pc.fill_null(inside, False), numbers, pa.scalar(None, pa.int64())))
    theirs = key_array(keys, form)
    ours = key_array(values, form)
    if ours.type != theirs.type:
        both = pa.int64() if pa.types.is_integer(ours.type) and pa.types.is_integer(theirs.type) else _WHOLE
        ours, theirs = (ours, theirs) if form is not Form.WHOLE else (ours.cast(both), theirs.cast(both))
    found = pc.index_in(ours, value_set=single(theirs))
    # index_in matches null with null; a null foreign key has no parent
    return single(pc.if_else(pc.is_valid(ours), found, pa.scalar(None, pa.int32())).cast(pa.int64()))


def key_array(values: pa.ChunkedArray, form: Form) -> pa.ChunkedArray:
    """`values` in `form`; integers of 64 bits stay such in WHOLE, others become decimals of 38 digits."""
    kind = values.type
    if form is Form.WHOLE:
        return _whole(values)
    if form is Form.BYTES:
        return values.cast(pa.large_binary())
    if form is Form.TIME:
        zoned = pa.timestamp("us", tz=getattr(kind, "tz", None))
        return values.cast(zoned, safe=False).cast(pa.timestamp("us"))
    if form is Form.SAME or is_text(kind):
        return values.cast(pa.large_string()) if is_text(kind) else without_nan(values)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.chunked_array([pa.array([_shortest(v) for v in values.to_pylist()], pa.large_string())])
    return values.cast(pa.large_string())


def without_nan(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """NaN, which is how tables of floats write what is missing, as null."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def has_fractions(values: pa.ChunkedArray) -> bool:
    """Whether a column of floats holds numbers that are no integers (infinities included)."""
    known = np.asarray(without_nan(values).drop_null().to_numpy(zero_copy_only=False))
    return bool((~np.isfinite(known) | (known != np.trunc(known))).any())


def _shortest(value: float | decimal.Decimal | None) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, float) and np.isfinite(value) and value == int(value):
        return str(int(value))
    shown = f"{value:f}" if isinstance(value, decimal.Decimal) else repr(value)
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind != pa.uint64()):
        return values.cast(pa.int64())
    if pa.types.is_integer(kind):
        return values.cast(_WHOLE)
    if pa.types.is_decimal(kind):
        if kind.scale == 0 and kind.precision <= 38:
            return values.cast(_WHOLE)
        return _decimals([None if v is None or v != int(v) else int(v) for v in values.to_pylist()])
    floats = np.asarray(without_nan(values).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    whole = np.isfinite(floats) & (floats == np.trunc(floats))
    if not (np.abs(floats[whole]) >= _EXACT).any():
        numbers = np.where(whole, floats, 0).astype(np.int64)
        return pa.chunked_array([pa.array(numbers, mask=~whole)])
    return _decimals([int(v) if ok else None for v, ok in zip(floats.tolist(), whole.tolist(), strict=True)])


def _decimals(numbers: list[int | None]) -> pa.ChunkedArray:
    limit = 10**38
    kept = [None if v is None or abs(v) >= limit else decimal.Decimal(v) for v in numbers]
    return pa.chunked_array([pa.array(kept, _WHOLE)])


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values of a dictionary-encoded column, others as they are."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def counts_rows(keys: pa.ChunkedArray) -> bool:
    """Whether the keys are the row numbers 0, 1, 2, … already, as in every hosted RelBench table."""
    if not pa.types.is_integer(keys.type) or keys.null_count:
        return False
    return bool((np.asarray(keys.to_numpy()) == np.arange(len(keys))).all())


def single(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`values` as one array."""
    if isinstance(values, pa.ChunkedArray):
        return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values
