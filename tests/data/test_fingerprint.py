"""Fingerprints: the same for equal data however it lies in memory, another after any change."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.digest import digest
from relbench_harness.data.table import Table

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.integers(-5, 5)),
    "small": (pa.int8(), st.integers(-5, 5)),
    "real": (pa.float64(), st.floats(-2, 2).map(lambda x: x + 0.0)),
    "yes": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text("ab", max_size=3)),
    "bytes": (pa.binary(), st.binary(max_size=3)),
    "day": (pa.date32(), st.integers(0, 9).map(lambda d: date(2020, 1, 1 + d))),
    "instant": (pa.timestamp("us"), st.integers(0, 9)),
    "money": (pa.decimal128(9, 2), st.integers(0, 99).map(lambda c: Decimal(c) / 4)),
    "list": (pa.list_(pa.int32()), st.lists(st.none() | st.integers(0, 2), max_size=3)),
    "nested": (pa.list_(pa.list_(pa.string())), st.lists(st.lists(st.text("a", max_size=1), max_size=2), max_size=2)),
    "pair": (pa.struct({"a": pa.int8(), "b": pa.string()}), st.fixed_dictionaries({"a": st.none() | st.integers(0, 1)})),
    "map": (pa.map_(pa.string(), pa.int8()), st.lists(st.tuples(st.text("a", max_size=1), st.integers(0, 1)), max_size=2)),
    "view": (pa.string_view(), st.text("ab", max_size=3)),
    "nothing": (pa.null(), st.none()),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_equal_values_digest_alike_and_others_do_not(data: st.DataObject, kind: str) -> None:
    type_, values = KINDS[kind]
    rows = st.lists(st.none() | values, max_size=6)
    first, second = data.draw(rows), data.draw(rows)
    one, two = pa.array(first, type_), pa.array(second, type_)
    assert (digest(pa.table({"c": one})) == digest(pa.table({"c": two}))) == (one.to_pylist() == two.to_pylist())


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_chunks_and_offsets_do_not_matter(data: st.DataObject, kind: str) -> None:
    type_, values = KINDS[kind]
    rows = data.draw(st.lists(st.none() | values, min_size=2, max_size=8))
    at = data.draw(st.integers(0, len(rows)))
    whole = pa.chunked_array([pa.array(rows, type_)])
    padded = pa.array([*rows[:1], *rows, *rows[-1:]], type_).slice(1, len(rows))
    pieces = pa.chunked_array([pa.array(rows[:at], type_), padded.slice(at)], type_)
    assert digest(pa.table({"c": whole})) == digest(pa.table({"c": pieces})) == digest(pa.table({"c": padded}))


def test_what_lies_under_a_null_and_which_nan_does_not_matter() -> None:
    mask = np.array([False, True])
    one, two = (pa.array(np.array([1.0, hidden]), mask=mask) for hidden in (7.0, 8.0))
    assert digest(pa.table({"c": one})) == digest(pa.table({"c": two}))
    quiet, other = np.array([np.nan]), np.array([np.nan])
    other.view(np.uint64)[0] |= np.uint64(1 << 63)
    assert digest(pa.table({"c": pa.array(quiet)})) == digest(pa.table({"c": pa.array(other)}))


def database(**changes: Any) -> Database:
    given_ = {
        "name": "t",
        "key": "id",
        "time": "at",
        "column": "x",
        "values": [1, 2],
        "type": pa.int64(),
        "days": [0, 1],
        **changes,
    }
    rows = pa.table(
        {
            "id": np.arange(2),
            "at": pa.array(given_["days"]).cast(pa.timestamp("ns")),
            "up": pa.array([None, 0], pa.int64()),
            given_["column"]: pa.array(given_["values"], given_["type"]),
        }
    )
    references = {} if changes.get("loose") else {"up": given_["name"]}
    return Database([Table(given_["name"], rows, given_["key"], given_["time"], MappingProxyType(references))])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "u"},
        {"key": None},
        {"time": None},
        {"column": "y"},
        {"values": [1, 3]},
        {"values": [1, None]},
        {"values": [2, 1]},
        {"type": pa.int32()},
        {"days": [0, 2]},
        {"loose": True},
    ],
)
def test_any_change_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert database().fingerprint == database().fingerprint
    assert database(**change).fingerprint != database().fingerprint
