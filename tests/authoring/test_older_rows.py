"""A source and the rows that were staged from it agree which rows are older, and every row is older or among the others."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from relbench_harness.authoring.older_rows import Form, Older, form_of
from relbench_harness.authoring.staging import Staged, exact

CHANGE = pd.Timestamp("2024-03-10")
"""A day on which clocks in New York change; those in London do three weeks later."""
HOURS = pd.date_range(CHANGE - pd.Timedelta(days=3), CHANGE + pd.Timedelta(days=24), freq="h")


def values_of(form: Form) -> pa.Array:
    """Times around the day, one that is missing and one that no nanoseconds hold."""
    far = pd.Timestamp("1500-01-01").to_pydatetime()
    moments = [*(t.to_pydatetime() for t in HOURS), None, far]
    if form == "text":
        return pa.array([*(str(t) for t in HOURS), None, "", " 2024-01-01", "2024-3-1"])
    if form == "epoch_s":
        return pa.array([*(t.value // 10**9 for t in HOURS), None])
    kind = {"day": pa.date32(), "clock": pa.timestamp("us"), "instant": pa.timestamp("us", "UTC")}[form]
    return pa.array(moments, kind if form != "day" else pa.timestamp("us")).cast(kind, safe=False)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo", "Europe/London"])
@pytest.mark.parametrize("form", ["day", "clock", "instant", "text", "epoch_s"])
@pytest.mark.parametrize("day", [CHANGE, CHANGE + pd.Timedelta(days=21)])
def test_source_and_staged_rows_agree(form: Form, zone: str, day: pd.Timestamp) -> None:
    values = values_of(form)
    assert form_of(values.type, "epoch_s" if form == "epoch_s" else None) == form
    if form in ("text", "epoch_s"):
        read = pa.array(
            pd.to_datetime(
                values.to_pandas(),
                unit="s" if form == "epoch_s" else None,
                errors="coerce",
                format=None if form == "epoch_s" else "mixed",
            )
        )
    else:
        read = exact(values, zone, lambda count: None)
    staged = Staged("seen", Path("nowhere"), raw={"made": "made text"})
    older = Older("made", form, day)
    is_older, is_not = older.at_source('"made"', "duckdb")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("there", pa.table({"made": values, "n": range(len(values))}))
        texts = values if form == "text" else pa.nulls(len(values), pa.string())
        connection.register(
            "seen", pa.table({"made": read.cast(pa.timestamp("ns")), "made text": texts, "n": range(len(values))})
        )
        ours = {n for (n,) in connection.execute(f"SELECT n FROM seen WHERE {older.staged(staged, zone)}").fetchall()}
        theirs = {n for (n,) in connection.execute(f"SELECT n FROM there WHERE {is_older}").fetchall()}
        others = {n for (n,) in connection.execute(f"SELECT n FROM there WHERE {is_not}").fetchall()}
        low, high = older.ends(values.type)
    assert ours == theirs and 0 < len(ours) < len(HOURS)
    assert others == set(range(len(values))) - theirs
    listed = values.to_pylist()
    assert theirs == {n for n, v in enumerate(listed) if v is not None and low.as_py() <= v < high.as_py()}


@pytest.mark.parametrize(
    ("kind", "form"), [(pa.string(), "%d/%m/%Y"), (pa.string(), "epoch_s"), (pa.int64(), None), (pa.int64(), "%Y%m%d")]
)
def test_forms_that_no_source_compares(kind: pa.DataType, form: str | None) -> None:
    assert form_of(kind, form) is None
