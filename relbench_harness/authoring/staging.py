"""Rows on their way from a source to a dataset: streamed to Parquet batch by batch, every column of a kind RelBench knows.

Times become UTC nanoseconds without zone. Values that such a time cannot hold (years before 1678 or after 2261, such as a
database's 'infinity') become null and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relbench_harness.errors import InputError

_LIMITS = {"s": 9223372036, "ms": 9223372036854, "us": 9223372036854775}
Progress = Callable[[str, int], None]
"""Told the table and its rows so far."""


@dataclass
class Staged:
    """One table as Parquet.

    Attributes:
        impossible: Times per column that were out of range and became null.
    """

    name: str
    path: Path
    rows: int = 0
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    impossible: dict[str, int] = field(default_factory=dict)


def stage(name: str, batches: Iterator[pa.RecordBatch], path: Path, progress: Progress, zone: str = "UTC") -> Staged:
    """Write `batches` to `path`, a batch at a time in memory.

    Args:
        zone: The time zone of times that carry none.
    """
    staged = Staged(name, path)
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            names = batch.schema.names
            arrays = [
                _plain(values, zone, partial(_count, staged, column))
                for column, values in zip(names, batch.columns, strict=True)
            ]
            if writer is None:
                _check_names(name, names)
                staged.schema = pa.schema([(n, a.type) for n, a in zip(names, arrays, strict=True)])
                writer = pq.ParquetWriter(path, staged.schema, compression="lz4", use_dictionary=False)
            # a large unsigned number may come late and make its batch floats
            same = [a.cast(f.type) for a, f in zip(arrays, staged.schema, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(same, schema=staged.schema))
            staged.rows += batch.num_rows
            if batch.num_rows:
                progress(name, staged.rows)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError(f"table {name!r} has no columns")
    return staged


def _check_names(table: str, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise InputError(f"table {table!r} has columns {seen[name.lower()]!r} and {name!r}, which differ in case only")
        seen[name.lower()] = name


def _count(staged: Staged, column: str, found: int) -> None:
    if found:
        staged.impossible[column] = staged.impossible.get(column, 0) + found


def _plain(values: pa.Array, zone: str, impossible: Callable[[int], None]) -> pa.Array:
    """`values` as a type that RelBench, pandas and DuckDB all read alike."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return _plain(values.storage, zone, impossible)
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode(), zone, impossible)
    if pa.types.is_date(kind):
        seconds = values.cast(pa.date32()).cast(pa.timestamp("s"))
        return _nanoseconds(seconds, impossible)
    if pa.types.is_timestamp(kind):
        if kind.tz is None and zone != "UTC":
            values = pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="earliest")
        return _nanoseconds(values.cast(pa.timestamp(kind.unit)), impossible)
    if pa.types.is_decimal(kind):
        whole = kind.scale == 0 and kind.precision <= 18
        return values.cast(pa.int64() if whole else pa.float64())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return values.cast(pa.float64())
    if pa.types.is_unsigned_integer(kind) and kind.bit_width == 64:
        return values.cast(pa.int64() if (pc.max(values).as_py() or 0) < 2**63 else pa.float64())
    if pa.types.is_integer(kind):
        return values.cast(pa.int64())
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_float64(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return values
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return values
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return values.cast(pa.binary())
    if pa.types.is_time(kind):
        return values.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())


def _nanoseconds(values: pa.Array, impossible: Callable[[int], None]) -> pa.Array:
    limit = _LIMITS.get(values.type.unit)
    if limit is not None:
        ticks = values.cast(pa.int64())
        inside = pc.and_(pc.less_equal(ticks, limit), pc.greater_equal(ticks, -limit))
        impossible(pc.sum(pc.invert(inside)).as_py() or 0)
        values = pc.if_else(pc.fill_null(inside, False), values, pa.scalar(None, values.type))
    return values.cast(pa.timestamp("ns"))
