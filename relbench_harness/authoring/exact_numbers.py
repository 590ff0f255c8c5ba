"""Arrow types that keep a database's numbers digit by digit."""

from __future__ import annotations

import pyarrow as pa


def exact_type(precision: int, scale: int, keyed: bool) -> pa.DataType | None:
    """The type that keeps numbers of so many digits exactly; None for fractions that are no key, and beyond 76 digits."""
    if scale and not keyed:
        return None
    if not scale and precision <= 18:
        return pa.int64()
    if precision <= 38:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= 76 else None


def from_text(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers that came as text as decimals of `kind`; other values as they are."""
    return values.cast(kind) if pa.types.is_decimal(kind) and pa.types.is_string(values.type) else values
