"""Brings raw tables into canonical order, checking on the way everything a manifest promises about keys and times.

Invariant: what leaves here satisfies `Table` and `Database`; what cannot be brought there is an `InputError` that names
the table, the column and the first value at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.database import Database
from relbench_harness.data.key_match import counts_rows, has_fractions, plain, positions, without_nan
from relbench_harness.data.stypes import is_text
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest

if TYPE_CHECKING:
    from relbench.manifest import TableSpec


def canonical(raw: Mapping[str, pa.Table], specs: Mapping[str, TableSpec], where: str) -> Database:
    """The database of `raw` tables as `specs` declare them.

    Args:
        raw: Tables by name, rows in any order, keys of any type.
        specs: Primary key, time column and foreign keys of each table (RelBench's manifest entries).
        where: What the tables are called in error messages, such as the dataset's folder.

    Raises:
        InputError: A missing table or column, a duplicate or null primary key, a time column that is no time, or a
            foreign key to an unknown table.
    """
    for name in specs:
        if name not in raw:
            raise InputError(f"{where}: the manifest declares table {name!r}, which is missing; {nearest(name, raw)}")
    for name in specs:
        for column in raw[name].column_names:
            if raw[name].column_names.count(column) > 1:
                raise InputError(f"{where}: table {name!r} has two columns called {column!r}")
    ordered = {name: _in_time_order(name, raw[name], spec, where) for name, spec in specs.items()}
    keys = {name: _unique_key(name, ordered[name][0], spec, where) for name, spec in specs.items()}
    return Database(_numbered(name, ordered[name], spec, keys, where) for name, spec in specs.items())


def _column(name: str, rows: pa.Table, column: str, where: str) -> pa.ChunkedArray:
    if column not in rows.column_names:
        raise InputError(f"{where}: table {name!r} has no column {column!r}; {nearest(column, rows.column_names)}")
    return rows.column(column)


def _in_time_order(name: str, rows: pa.Table, spec: TableSpec, where: str) -> tuple[pa.Table, int]:
    """Rows with a time, stably sorted by it, and how many had none."""
    if spec.time_col is None:
        return rows, 0
    values = _column(name, rows, spec.time_col, where)
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        raise InputError(
            f"{where}: time column {name}.{spec.time_col} is no time: its type is {values.type}, "
            "a date or timestamp is needed"
        )
    try:
        instants = values.cast(pa.timestamp("ns", tz=getattr(values.type, "tz", None))).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{where}: time column {name}.{spec.time_col} holds times outside 1677 to 2262 ({error})"
        ) from None
    rows = rows.set_column(rows.column_names.index(spec.time_col), spec.time_col, instants)
    dropped = instants.null_count
    if dropped:
        rows = rows.filter(pc.is_valid(instants))
    at = np.asarray(rows.column(spec.time_col).cast(pa.int64()).to_numpy())
    if len(at) > 1 and (at[1:] < at[:-1]).any():
        rows = rows.take(pa.array(np.argsort(at, kind="stable")))
    return rows, dropped


def _unique_key(name: str, rows: pa.Table, spec: TableSpec, where: str) -> pa.ChunkedArray | None:
    """The primary key at its source, checked; None where the table has none."""
    if spec.pkey is None:
        return None
    key = plain(_column(name, rows, spec.pkey, where))
    if pa.types.is_floating(key.type):
        key = _whole(key, f"{where}: primary key {name}.{spec.pkey}")
    if key.null_count:
        row = int(np.flatnonzero(np.asarray(pc.is_null(key)))[0])
        raise InputError(f"{where}: primary key {name}.{spec.pkey} is null in {key.null_count} rows, first in row {row}")
    if not counts_rows(key) and pc.count_distinct(key).as_py() != len(key):
        counts = pc.value_counts(key.combine_chunks())
        repeated = counts.filter(pc.greater(counts.field("counts"), 1))
        first = repeated[0].as_py()
        raise InputError(
            f"{where}: primary key {name}.{spec.pkey} is not unique: {first['values']!r} stands in {first['counts']} rows"
        )
    return key


def _numbered(
    name: str, ordered: tuple[pa.Table, int], spec: TableSpec, keys: Mapping[str, pa.ChunkedArray | None], where: str
) -> Table:
    """The table with its keys replaced by row numbers.

    Args:
        ordered: Its rows in time order, and how many were dropped.
        keys: Every table's primary key at its source, None where it has none.
    """
    (rows, dropped), origin = ordered, None
    key = keys[name]
    if spec.pkey is not None and key is not None:
        if not counts_rows(key):
            origin = key
        number = pa.array(np.arange(rows.num_rows, dtype=np.int64))
        rows = rows.set_column(rows.column_names.index(spec.pkey), spec.pkey, number)
    for column, parent in spec.fkeys.items():
        values = plain(_column(name, rows, column, where))
        if parent not in keys:
            raise InputError(
                f"{where}: foreign key {name}.{column} refers to unknown table {parent!r}; {nearest(parent, keys)}"
            )
        named = keys[parent]
        if named is None:
            raise InputError(f"{where}: foreign key {name}.{column} refers to table {parent!r}, which has no primary key")
        numbers = _row_numbers(values, named, f"{where}: foreign key {name}.{column}")
        rows = rows.set_column(rows.column_names.index(column), column, numbers)
    return Table(
        name=name,
        rows=rows,
        key=spec.pkey,
        time=spec.time_col,
        references=MappingProxyType(dict(spec.fkeys)),
        origin=origin,
        dropped=dropped,
    )


def _row_numbers(values: pa.ChunkedArray, key: pa.ChunkedArray, what: str) -> pa.Array:
    """(rows,) int64 position of each of `values` in the unique `key`, null where it is absent."""
    if pa.types.is_floating(values.type) and pa.types.is_integer(key.type) and has_fractions(values):
        raise InputError(f"{what} holds fractions, which cannot be keys")
    found = positions(values, key)
    mixed = is_text(values.type) != is_text(plain(key).type)
    if found is None or (mixed and len(values) > values.null_count and found.null_count == len(values)):
        raise InputError(f"{what} has type {values.type}, its parent's key {key.type}, and names no row of it")
    return found


def _whole(values: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Floats that stand for integers (pandas writes nullable integers so) as int64."""
    if has_fractions(values):
        raise InputError(f"{what} holds fractions, which cannot be keys")
    try:
        return without_nan(values).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(f"{what} holds numbers too large for keys ({error})") from None


def source_row_numbers(table: Table, keys: pa.Array | pa.ChunkedArray, what: str) -> pa.Array:
    """(n,) int64 canonical row numbers of rows that a label file names by their key at the source; null where absent."""
    named = table.origin if table.origin is not None else pa.array(np.arange(len(table), dtype=np.int64))
    return _row_numbers(plain(_chunked(keys)), _chunked(named), what)


def _chunked(values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
