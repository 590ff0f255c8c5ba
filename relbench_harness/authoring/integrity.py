"""Whether the data are what the manifest says: tables, columns, keys, times. Looks at raw tables, so it reports every fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from relbench.manifest import TableSpec

from relbench_harness.authoring.findings import Finding
from relbench_harness.data.key_match import positions, without_nan
from relbench_harness.data.labels import Cuts
from relbench_harness.errors import nearest

FAR = 5.0
"""A time is impossible when it lies this many times the span of the other 98 % away from them."""


def integrity(tables: Mapping[str, pa.Table], specs: Mapping[str, TableSpec], cuts: Cuts | None) -> Iterator[Finding]:
    """Faults of the tables against what their manifest entries say."""
    for name, spec in specs.items():
        if name not in tables:
            yield Finding("manifest", name, "the manifest declares this table, but there is none")
            continue
        columns = tables[name].column_names
        for role, column in (
            ("primary key", spec.pkey),
            ("time column", spec.time_col),
            *((f"foreign key to {p}", c) for c, p in spec.fkeys.items()),
        ):
            if column is not None and column not in columns:
                yield Finding(
                    "manifest", f"{name}.{column}", f"the {role} is no column of the table; {nearest(column, columns)}"
                )
        yield from _key(name, tables[name], spec.pkey)
        yield from _time(name, tables[name], spec.time_col)
        for column, parent in spec.fkeys.items():
            yield from _reference(name, tables, specs, column, parent)
    for name in tables:
        if name not in specs:
            yield Finding("manifest", name, "the data have this table, but the manifest does not declare it")
    if cuts is not None:
        yield from _cuts(tables, specs, cuts)


def _key(name: str, rows: pa.Table, key: str | None) -> Iterator[Finding]:
    if key is None or key not in rows.column_names:
        return
    values = rows.column(key)
    if values.null_count:
        yield Finding(
            "key", f"{name}.{key}", f"the primary key is missing in {values.null_count:,} rows", values.null_count
        )
    present = len(values) - values.null_count
    repeated = present - pc.count_distinct(values).as_py()
    if repeated:
        yield Finding("key", f"{name}.{key}", f"the primary key repeats in {repeated:,} rows", repeated)


def _reference(
    name: str, tables: Mapping[str, pa.Table], specs: Mapping[str, TableSpec], column: str, parent: str
) -> Iterator[Finding]:
    where = f"{name}.{column}"
    if parent not in specs:
        yield Finding(
            "manifest", where, f"refers to table {parent!r}, which the manifest does not declare; {nearest(parent, specs)}"
        )
        return
    key = specs[parent].pkey
    if key is None:
        yield Finding("manifest", where, f"refers to table {parent!r}, which has no primary key")
        return
    if parent not in tables or column not in tables[name].column_names or key not in tables[parent].column_names:
        return
    values, keys = tables[name].column(column), tables[parent].column(key)
    found = positions(values, keys)
    if found is None:
        yield Finding("key", where, f"is {values.type}, the key of {parent!r} is {keys.type}")
        return
    missing = without_nan(values).null_count if pa.types.is_floating(values.type) else values.null_count
    lost = found.null_count - missing
    if lost:
        yield Finding("key", where, f"{lost:,} of {len(values):,} rows name a row of {parent!r} that is not there", lost)


def _time(name: str, rows: pa.Table, time: str | None) -> Iterator[Finding]:
    if time is None or time not in rows.column_names:
        return
    values, where = rows.column(time), f"{name}.{time}"
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        yield Finding("time", where, f"the time column is {values.type}, which is no time")
        return
    if values.null_count:
        yield Finding(
            "time", where, f"{values.null_count:,} of {len(values):,} rows have no time and are left out", values.null_count
        )
    at = np.asarray(pc.drop_null(values).cast(pa.timestamp("s"), safe=False).cast(pa.int64())).astype(np.float64)
    if len(at) < 3:
        return
    low, high = np.quantile(at, [0.01, 0.99])
    far = (at < low - FAR * (high - low)) | (at > high + FAR * (high - low))
    if high > low and far.any():
        example = pd.Timestamp(float(at[far][0]), unit="s") if abs(at[far][0]) < 9e9 else f"{at[far][0]:.3g} s after 1970"
        yield Finding(
            "time", where, f"{int(far.sum()):,} rows have an impossible time, such as {example}; the others lie between "
            f"{pd.Timestamp(low, unit='s')} and {pd.Timestamp(high, unit='s')}", int(far.sum()),
        )  # fmt: skip


def _cuts(tables: Mapping[str, pa.Table], specs: Mapping[str, TableSpec], cuts: Cuts) -> Iterator[Finding]:
    spans = []
    for name, spec in specs.items():
        if name in tables and spec.time_col in tables[name].column_names and len(tables[name]):
            values = tables[name].column(spec.time_col)
            if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
                low, high = (pc.min_max(values)[end].as_py() for end in ("min", "max"))
                if low is not None:
                    spans.append((_naive(low), _naive(high)))
    if not spans:
        yield Finding("manifest", "tables", "no table has a time column with rows, so nothing can be split by time")
        return
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    for key, cut in (("val_timestamp", cuts.val), ("test_timestamp", cuts.test)):
        if not first < cut < last:
            yield Finding("manifest", key, f"{cut} lies outside the data, which run from {first} to {last}")


def _naive(value: object) -> pd.Timestamp:
    stamp = pd.Timestamp(value)  # type: ignore[arg-type]
    return stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None)
