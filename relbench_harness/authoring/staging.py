"""Rows on their way from a source to a dataset: streamed to Parquet batch by batch, every value kept exactly.

Invariant: no key loses a digit here. Large whole numbers and decimals stay what they are until keys are resolved; only what is
written as an attribute becomes a type that RelBench knows. NaN is null, since tables of floats write so what is missing. Times
become UTC nanoseconds without zone. Values that such a time cannot hold (years before 1678 or after 2261, such as a database's
'infinity') become null and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relbench_harness.authoring.identifiers import free
from relbench_harness.errors import InputError

_SPAN = {"s": 9223372036, "ms": 9223372036854, "us": 9223372036854775, "ns": 9223372036854775807}
_MARGIN = {"s": 172800, "ms": 172800_000, "us": 172800_000_000, "ns": 172800_000_000_000}
"""Two days: no zone moves a time within the limits out of them."""
Progress = Callable[[str, int], None]
"""Told the table and its rows so far."""


class TextCounts(NamedTuple):
    """How many values of a column of texts are not blank, how many of them read as times, and how many as days."""

    present: int
    times: int
    days: int


@dataclass
class Staged:
    """One table as Parquet.

    Attributes:
        schema: The source's columns. The file has `position` and the columns of `raw` beside them.
        source: The columns as the source handed them out.
        texts: What each column of texts held when it was looked through for times.
        position: The column that numbers the rows from 0, whose name no column of the source has.
        raw: Column of times → the column that holds its values as the source has them: text, or, for columns in `ticks`,
            microseconds since 1970.
        numeric: Columns of numbers that are kept as text, since no type of DuckDB holds them.
        impossible: Times per column that were out of range and became null.
    """

    name: str
    path: Path
    rows: int = 0
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    source: pa.Schema = field(default_factory=lambda: pa.schema([]))
    texts: dict[str, TextCounts] = field(default_factory=dict)
    position: str = "position"
    raw: dict[str, str] = field(default_factory=dict)
    ticks: set[str] = field(default_factory=set)
    numeric: set[str] = field(default_factory=set)
    impossible: dict[str, int] = field(default_factory=dict)

    def keyed(self, column: str) -> tuple[str, pa.DataType]:
        """The column, and its type, that `column`'s values are compared by where they are keys."""
        if column in self.raw:
            return self.raw[column], pa.int64() if column in self.ticks else pa.string()
        return column, self.schema.field(column).type

    def count_impossible(self, column: str, found: int) -> None:
        if found:
            self.impossible[column] = self.impossible.get(column, 0) + found


def stage(
    name: str,
    batches: Iterator[pa.RecordBatch],
    path: Path,
    progress: Progress,
    zone: str = "UTC",
    keyed: Collection[str] = (),
) -> Staged:
    """Write `batches` to `path`, a batch at a time in memory.

    Args:
        zone: The time zone of times that carry none.
        keyed: Columns that are part of a declared key, in lower case: times among them are kept beside, whatever their year.
    """
    staged = Staged(name, path)
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            names = batch.schema.names
            arrays = [
                exact(values, zone, partial(staged.count_impossible, column))
                for column, values in zip(names, batch.columns, strict=True)
            ]
            if writer is None:
                _check_names(name, names)
                staged.source = batch.schema.remove_metadata()
                staged.schema = pa.schema([(n, a.type) for n, a in zip(names, arrays, strict=True)])
                staged.numeric = {f.name for f in batch.schema if pa.types.is_decimal(f.type)}
                staged.numeric &= {f.name for f in staged.schema if pa.types.is_string(f.type)}
                staged.position = free("position", names)
                for column in (f.name for f in batch.schema if f.name.lower() in keyed and _is_coarse(f.type)):
                    staged.raw[column] = free(f"{column} ticks", [*names, staged.position, *staged.raw.values()])
                    staged.ticks.add(column)
                numbers = [pa.field(n, pa.int64()) for n in (staged.position, *staged.raw.values())]
                whole = pa.schema([*staged.schema, *numbers])
                writer = pq.ParquetWriter(path, whole, compression="lz4", use_dictionary=False)
            same = [a.cast(f.type) for a, f in zip(arrays, staged.schema, strict=True)]
            same.append(pa.array(np.arange(staged.rows, staged.rows + batch.num_rows)))
            same += [_microseconds(batch.column(column)) for column in staged.raw]
            writer.write_batch(pa.RecordBatch.from_arrays(same, schema=whole))
            staged.rows += batch.num_rows
            if batch.num_rows:
                progress(name, staged.rows)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError(f"table {name!r} has no columns")
    return staged


def _is_coarse(kind: pa.DataType) -> bool:
    """Whether the type holds times that nanoseconds do not."""
    return bool(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.unit != "ns"))


def _microseconds(values: pa.Array) -> pa.Array:
    """Times as whole microseconds since 1970, null where they are too far off even for those."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.date32()).cast(pa.timestamp("s"))
    ticks, factor = values.cast(pa.int64()), {"s": 1_000_000, "ms": 1000, "us": 1}[values.type.unit]
    inside = pc.less_equal(pc.abs(ticks), (2**63 - 1) // factor)
    return pc.multiply(pc.if_else(inside, ticks, pa.scalar(None, pa.int64())), factor)


def _check_names(table: str, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise InputError(f"table {table!r} has columns {seen[name.lower()]!r} and {name!r}, which differ in case only")
        seen[name.lower()] = name


def exact(values: pa.Array, zone: str, impossible: Callable[[int], None]) -> pa.Array:
    """`values` in a type that DuckDB reads from Parquet, every value the same; times as `instants` gives them."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        if kind.extension_name == "arrow.uuid":
            return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())
        return exact(values.storage, zone, impossible)
    if pa.types.is_dictionary(kind):
        return exact(values.dictionary_decode(), zone, impossible)
    if pa.types.is_date(kind):
        return instants(values.cast(pa.date32()).cast(pa.timestamp("s")), None, impossible)
    if pa.types.is_timestamp(kind):
        return instants(values.cast(pa.timestamp(kind.unit)), zone if kind.tz is None else None, impossible)
    if pa.types.is_decimal(kind):
        return _decimal(values)
    if pa.types.is_floating(kind):
        doubles = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)
    if pa.types.is_integer(kind):
        return values if kind == pa.uint64() else values.cast(pa.int64())
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return values
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list(values, zone, impossible)
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return values.cast(pa.binary())
    if pa.types.is_time(kind):
        return values.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())


def _decimal(values: pa.Array) -> pa.Array:
    """Whole numbers of up to 18 digits as integers, others of up to 38 digits as decimals, longer ones as text."""
    kind = values.type
    if kind.scale == 0 and kind.precision <= 18:
        return values.cast(pa.int64())
    if kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return values.cast(pa.decimal128(kind.precision, kind.scale))
    return pa.array([None if v is None else _digits(f"{v:f}") for v in values.to_pylist()], pa.string())


def _digits(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _list(values: pa.Array, zone: str, impossible: Callable[[int], None]) -> pa.Array:
    """A list of any layout as a plain list; floats stay floats, exact numbers in it become floats, since no list is a key."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
    inner = values.flatten()
    if pa.types.is_float16(inner.type):
        inner = inner.cast(pa.float32())
    elif pa.types.is_decimal(inner.type) or inner.type == pa.uint64():
        inner = inner.cast(pa.float64())
    elif not pa.types.is_floating(inner.type):
        inner = exact(inner, zone, impossible)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), inner, mask=pc.is_null(values))


def instants(values: pa.Array, zone: str | None, impossible: Callable[[int], None]) -> pa.Array:
    """Times without zone as UTC nanoseconds, those that cannot be as null and counted.

    Args:
        zone: The zone that the times are in; None where they are in UTC or are dates, which lie in no zone.
    """
    unit = values.type.unit
    if unit != "ns" or zone not in (None, "UTC"):
        limit = _SPAN[unit] - _MARGIN[unit]
        ticks = values.cast(pa.int64())
        inside = pc.and_(pc.less_equal(ticks, limit), pc.greater_equal(ticks, -limit))
        impossible(pc.sum(pc.invert(inside)).as_py() or 0)
        values = pc.if_else(pc.fill_null(inside, False), values, pa.scalar(None, values.type))
    if zone not in (None, "UTC"):
        values = pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="earliest").cast(pa.timestamp(unit))
    return values.cast(pa.timestamp("ns"))
