"""Text columns that hold times become times, by the same rules as columns that the source types as times.

Invariant: a text with an offset is converted to UTC, a text with a time and no offset lies in the import's zone, and a column of
dates lies in no zone; neither the process's time zone nor DuckDB's has a say. A text that names no time (2021-02-30, 24:00) or
one outside 1677 to 2262 becomes null and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import free, quoted, text
from relbench_harness.authoring.staging import Staged, TextCounts, instants

_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_OFFSET = r"([Zz]|[+-]\d{2}(?::?\d{2})?)"
_TIME = rf"^\s*{_DATE}([ Tt]\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?\s*{_OFFSET}?)?\s*$"
_DAY = rf"^\s*{_DATE}\s*$"
_ENDING = rf"(:\d{{2}}(?:\.\d+)?)\s*{_OFFSET}\s*$"


class Reading(NamedTuple):
    """How a column reads as times: SQL of what a clock shows, and of how many minutes east of UTC it hangs, null where nothing says.

    `zone` is that of clocks of which nothing says where they hang; None for UTC, and for dates.
    """

    clock: str
    minutes: str
    zone: str | None


def type_times(staged: Staged, zone: str, bench: Workbench) -> None:
    """Rewrite `staged` with its text columns of times, all of whose values read as such, as UTC nanoseconds.

    The text stays beside in the columns that `staged.raw` names, since keys are compared as the source wrote them.

    Args:
        zone: The time zone of times that carry none.
    """
    staged.texts = count_texts(staged, bench, quoted(staged.name))
    read_texts(staged, times_among(staged.texts), zone, bench)


def read_texts(staged: Staged, found: Mapping[str, bool], zone: str, bench: Workbench) -> None:
    """Rewrite `staged` with the text columns `found`, a column → whether it holds days alone, as UTC nanoseconds."""
    readings = {
        c: Reading(_clock(quoted(c)), _minutes(quoted(c)), None if dates_only else zone) for c, dates_only in found.items()
    }
    if readings:
        retype(staged, readings, bench)


def retype(staged: Staged, readings: Mapping[str, Reading], bench: Workbench) -> None:
    """Rewrite `staged` with columns as UTC nanoseconds, their text beside; what is no time is null and counted."""
    kept = [f for f in staged.schema if f.name not in readings]
    kept += [pa.field(n, _type(staged, n)) for n in (staged.position, *staged.raw.values())]
    for column in readings:
        staged.raw[column] = free(f"{column} text", [*staged.schema.names, staged.position, *staged.raw.values()])
    parts = [quoted(f.name) for f in kept]
    for column, reading in readings.items():
        # a blank text says nothing
        said = f"nullif(trim(CAST({quoted(column)} AS VARCHAR)), '')"
        parts += [
            f"CASE WHEN {said} IS NOT NULL THEN CAST({quoted(column)} AS VARCHAR) END",
            reading.clock,
            reading.minutes,
        ]
    # by place, so that no name of a column meets one of ours
    select = f"SELECT {', '.join(f'{part} AS c{i}' for i, part in enumerate(parts))} FROM {quoted(staged.name)}"
    typed = [pa.field(c, pa.timestamp("ns")) for c in readings] + [pa.field(staged.raw[c], pa.string()) for c in readings]
    schema = pa.schema([*kept, *typed])
    path = staged.path.with_suffix(f".{len(staged.raw)}.typed.parquet")
    rows = bench.connection.sql(f"{select} ORDER BY {quoted(staged.position)}").to_arrow_reader(100_000)
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
        for batch in rows:
            columns = [values.cast(f.type) for values, f in zip(batch.columns[: len(kept)], kept, strict=True)]
            triples = [batch.columns[i : i + 3] for i in range(len(kept), len(parts), 3)]
            columns += [_typed(staged, c, readings[c].zone, t) for c, t in zip(readings, triples, strict=True)]
            columns += [triple[0].cast(pa.string()) for triple in triples]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    staged.path = path
    staged.schema = pa.schema([pa.field(f.name, pa.timestamp("ns")) if f.name in readings else f for f in staged.schema])
    bench.view(staged.name, path)


def _type(staged: Staged, beside: str) -> pa.DataType:
    """The type of a column that stands beside those of the source."""
    ticks = {staged.position, *(staged.raw[c] for c in staged.ticks)}
    return pa.int64() if beside in ticks else pa.string()


def times_among(texts: Mapping[str, TextCounts]) -> dict[str, bool]:
    """The text columns all of whose values read as times, blank ones aside, and whether they are all days."""
    return {name: n.present == n.days for name, n in texts.items() if n.present and n.present == n.times}


def count_texts(staged: Staged, bench: Workbench, rows: str) -> dict[str, TextCounts]:
    """What the columns that the source has as texts hold.

    Args:
        rows: The rows to look through, as a relation in SQL with the columns of the staged file.
    """
    texts = [f.name for f in staged.schema if pa.types.is_string(f.type) or f.name in staged.texts]
    texts = [name for name in texts if name not in staged.numeric]
    found: dict[str, TextCounts] = {}
    for start in range(0, len(texts), 50):
        some = texts[start : start + 50]
        values = [quoted(staged.raw.get(n, n)) for n in some]
        counts = ", ".join(
            f"count(*) FILTER (trim({v}) <> ''), count(*) FILTER (regexp_matches({v}, {text(_TIME)})), "
            f"count(*) FILTER (regexp_matches({v}, {text(_DAY)}))"
            for v in values
        )
        row = [int(str(value)) for value in bench.row(f"SELECT {counts} FROM {rows}")]
        found |= {name: TextCounts(*row[index * 3 : index * 3 + 3]) for index, name in enumerate(some)}
    return found


def _clock(value: str) -> str:
    """What a clock on the wall shows, without the offset; null where there is no such time."""
    bare = f"trim(regexp_replace({value}, {text(_ENDING)}, '\\1'))"
    return f"CASE WHEN NOT regexp_matches({value}, '[ Tt]24:') THEN TRY_CAST(replace({bare}, 't', 'T') AS TIMESTAMP) END"


def _minutes(value: str) -> str:
    """How many minutes the offset lies east of UTC; null where there is none."""
    offset = f"replace(regexp_extract({value}, {text(_ENDING)}, 2), ':', '')"
    far = f"CAST(substr({offset}, 2, 2) AS BIGINT) * 60 + coalesce(TRY_CAST(substr({offset}, 4, 2) AS BIGINT), 0)"
    return (
        f"CASE WHEN {offset} = '' THEN NULL WHEN upper({offset}) = 'Z' THEN 0 "
        f"WHEN {offset}[1] = '-' THEN -({far}) ELSE {far} END"
    )


def _typed(staged: Staged, column: str, zone: str | None, triple: list[pa.Array]) -> pa.Array:
    """UTC nanoseconds of a batch of (text, clock, minutes)."""
    texts, clock, minutes = triple
    if clock.type.unit != "ns":
        clock = clock.cast(pa.timestamp("us"))
    count = partial(staged.count_impossible, column)
    count(clock.null_count - texts.null_count)
    fixed = pc.is_valid(minutes)
    none = pa.scalar(None, clock.type)
    shift = pc.multiply(minutes.cast(pa.int64()), 60_000_000_000 if clock.type.unit == "ns" else 60_000_000)
    moved = pc.subtract(clock.cast(pa.int64()), shift).cast(clock.type)
    local = instants(pc.if_else(fixed, none, clock), zone, count)
    return pc.if_else(fixed, instants(moved, None, count), local)
