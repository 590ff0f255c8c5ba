"""Values by frequency and times as integers, against plain Python."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.data.columns import by_frequency, ticks


@given(st.lists(st.none() | st.integers(0, 5)) | st.lists(st.none() | st.text(max_size=2)), st.integers(1, 3))
def test_the_most_frequent_values_come_first_and_ties_in_order(values: list[object], pieces: int) -> None:
    kind = pa.large_string() if any(isinstance(value, str) for value in values) else None
    column = pa.chunked_array([pa.array(values[i::pieces], kind or pa.int64()) for i in range(pieces)])
    counts = Counter(value for value in values if value is not None)
    found = by_frequency(column)
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert list(zip(found["value"].to_pylist(), found["count"].to_pylist(), strict=True)) == expected


def test_booleans_are_counted() -> None:
    assert by_frequency(pa.array([True, False, True, None]))["value"].to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (dt.date(1970, 1, 3), pa.date32(), 2),
        (dt.time(0, 1), pa.time32("s"), 60),
        (dt.datetime(1970, 1, 1, 0, 0, 1), pa.timestamp("us"), 10**6),
        (dt.timedelta(seconds=2), pa.duration("ms"), 2000),
    ],
)
def test_times_are_integers_in_their_own_unit(value: object, kind: pa.DataType, expected: int) -> None:
    assert ticks(pa.array([value, None], kind)).to_pylist() == [expected, None]
