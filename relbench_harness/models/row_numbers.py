"""Rows of a table by their original keys: the one translation between a source's words and the row numbers of a database."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.key_match import positions
from relbench_harness.errors import InputError, nearest


def rows_of(keys: pa.Table, named: pa.Table, what: str) -> NDArray[np.int64]:
    """(n,) row number of each key of `named`, −1 where `keys` lacks it.

    Args:
        keys: The original key of each row of a table, a column per key column.
        named: Keys in columns of the same names.
        what: Whose keys they are, in errors.
    """
    for column in keys.column_names:
        if column not in named.column_names:
            raise InputError(f"{what} has no column {column!r}; {nearest(column, named.column_names)}")
    if keys.num_columns == 1:
        name = keys.column_names[0]
        found = positions(_chunked(named.column(name)), _chunked(keys.column(name)))
        if found is None:
            kinds = named.schema.field(name).type, keys.schema.field(name).type
            raise InputError(f"{what} has {kinds[0]} in column {name!r}, where the keys are {kinds[1]}")
        return np.asarray(pc.fill_null(found, -1)).astype(np.int64)
    ours = [_texts(keys, column) for column in keys.column_names]
    theirs = [_texts(named, column) for column in keys.column_names]
    place = {key: row for row, key in enumerate(zip(*ours, strict=True))}
    return np.asarray([place.get(key, -1) for key in zip(*theirs, strict=True)], dtype=np.int64)


def moved_rows(before: pa.Table, now: pa.Table, what: str) -> NDArray[np.int64] | None:
    """(rows before,) row numbers of now, −1 for keys that are gone; None where every row has the number that it had."""
    if now.num_rows >= before.num_rows and now.slice(0, before.num_rows).equals(before):
        return None
    return rows_of(now, before, what)


def _chunked(values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def _texts(table: pa.Table, column: str) -> list[str | None]:
    return list(table.column(column).cast(pa.string()).to_pylist())
