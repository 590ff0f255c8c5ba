"""Canonical order: whatever order, numbers or strings a source uses, the database in memory is the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench.manifest import TableSpec

from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.errors import InputError

SPECS = {
    "shop": TableSpec("shop", "opened", {}),
    "sale": TableSpec("sale", "at", {"shop": "shop", "earlier": "sale"}),
}


def raw(shops: int, sales: list[tuple[int | None, int | None]]) -> dict[str, pa.Table]:
    """Tables that are canonical already; every time occurs once."""
    return {
        "shop": pa.table(
            {"shop": np.arange(shops), "opened": _days(range(shops)), "name": [f"s{i}" for i in range(shops)]}
        ),
        "sale": pa.table(
            {
                "sale": np.arange(len(sales)),
                "at": _days(range(len(sales))),
                "shop": pa.array([s for s, _ in sales], pa.int64()),
                "earlier": pa.array([e for _, e in sales], pa.int64()),
            }
        ),
    }


def _days(days: range) -> pa.Array:
    return pa.array([pd.Timestamp("2020-01-01") + pd.Timedelta(days=d) for d in days], pa.timestamp("ns"))


def disguised(tables: dict[str, pa.Table], seed: int, form: str) -> dict[str, pa.Table]:
    """The same tables with rows shuffled and keys renumbered, as integers, floats, texts or categories."""
    generator = np.random.default_rng(seed)
    new = {name: generator.permutation(10 * len(rows))[: len(rows)] for name, rows in tables.items()}
    keys = {"shop": {"shop": "shop"}, "sale": {"sale": "sale", "shop": "shop", "earlier": "sale"}}
    found = {}
    for name, rows in tables.items():
        for column, parent in keys[name].items():
            named = [None if k is None else int(new[parent][k]) for k in rows.column(column).to_pylist()]
            rows = rows.set_column(rows.column_names.index(column), column, _as(named, form))
        found[name] = rows.take(pa.array(generator.permutation(len(rows))))
    return found


def _as(keys: list[int | None], form: str) -> pa.Array:
    if form == "text" or form == "category":
        texts = pa.array([None if k is None else f"key {k}" for k in keys], pa.string())
        return texts.dictionary_encode() if form == "category" else texts
    return pa.array(keys, pa.float64() if form == "float" else pa.int64())


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(0, 10**6), st.sampled_from(["integer", "float", "text", "category"]))
def test_order_and_keys_of_the_source_do_not_matter(data: st.DataObject, seed: int, form: str) -> None:
    shops = data.draw(st.integers(1, 4))
    count = data.draw(st.integers(1, 8))
    sales = data.draw(
        st.lists(
            st.tuples(st.none() | st.integers(0, shops - 1), st.none() | st.integers(0, count - 1)),
            min_size=count,
            max_size=count,
        )
    )
    plain = canonical(raw(shops, sales), SPECS, "toy")
    other = canonical(disguised(raw(shops, sales), seed, form), SPECS, "toy")
    assert plain["sale"].origin is None
    assert other.fingerprint == plain.fingerprint
    for name in SPECS:
        assert other[name].rows.equals(plain[name].rows)


def test_equal_times_keep_the_order_of_the_source() -> None:
    rows = pa.table({"at": _days(range(1)).take(pa.array([0, 0, 0])), "value": ["b", "c", "a"]})
    table = canonical({"t": rows}, {"t": TableSpec(None, "at", {})}, "toy")["t"]
    assert table.rows["value"].to_pylist() == ["b", "c", "a"]


def test_rows_without_a_time_are_dropped_and_counted() -> None:
    rows = pa.table({"key": [5, 6, 7], "at": pa.array([3, None, 1], pa.timestamp("s"))})
    child = pa.table({"parent": [5, 6, 7]})
    specs = {"t": TableSpec("key", "at", {}), "c": TableSpec(None, None, {"parent": "t"})}
    database = canonical({"t": rows, "c": child}, specs, "toy")
    assert database["t"].dropped == 1
    assert database["t"].rows["key"].to_pylist() == [0, 1]
    assert database["c"].rows["parent"].to_pylist() == [1, None, 0]


def test_times_of_every_kind_become_utc_nanoseconds() -> None:
    zone = pa.array([pd.Timestamp("2020-01-01 12:00", tz="America/New_York")], pa.timestamp("us", tz="America/New_York"))
    day = pa.array([pd.Timestamp("2020-01-01").date()], pa.date32())
    for values, expected in ((zone, "2020-01-01 17:00"), (day, "2020-01-01")):
        table = canonical({"t": pa.table({"at": values})}, {"t": TableSpec(None, "at", {})}, "toy")["t"]
        assert table.times is not None and table.times.tolist() == [pd.Timestamp(expected).value]


@pytest.mark.parametrize(
    ("rows", "spec", "message"),
    [
        ({"id": [1, 2, 1]}, TableSpec("id"), "primary key t.id is not unique: 1 stands in 2 rows"),
        ({"id": [1, None]}, TableSpec("id"), "primary key t.id is null in 1 rows"),
        ({"id": [1.0, 2.5]}, TableSpec("id"), "primary key t.id holds fractions"),
        ({"key": [1]}, TableSpec("id"), "table 't' has no column 'id'"),
        ({"att": [1]}, TableSpec(None, "at"), "no column 'at'; did you mean 'att'"),
        ({"at": [1, 2]}, TableSpec(None, "at"), "time column t.at is no time: its type is int64"),
        ({"at": ["2020-01-01"]}, TableSpec(None, "at"), "time column t.at is no time: its type is string"),
        ({"up": [1]}, TableSpec(None, None, {"up": "u"}), "foreign key t.up refers to unknown table 'u'"),
        ({"up": [1]}, TableSpec(None, None, {"up": "t"}), "refers to table 't', which has no primary key"),
        ({"up": [1]}, TableSpec(None, None, {"over": "t"}), "table 't' has no column 'over'"),
    ],
)
def test_what_cannot_be_brought_into_order(rows: dict[str, list[object]], spec: TableSpec, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        canonical({"t": pa.table(rows)}, {"t": spec}, "dataset toy")
    assert str(caught.value).startswith("dataset toy")


def test_two_columns_of_one_name_and_a_missing_table() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InputError, match="two columns called 'a'"):
        canonical({"t": twice}, {"t": TableSpec()}, "toy")
    with pytest.raises(InputError, match="declares table 'sales', which is missing; did you mean 'sale'"):
        canonical({"sale": twice}, {"sales": TableSpec()}, "toy")


def test_the_time_cannot_be_hidden_and_hidden_columns_must_exist() -> None:
    database: Database = canonical(raw(1, [(0, None)]), SPECS, "toy")
    with pytest.raises(InputError, match="'at' is the time of table 'sale'"):
        database.without([("sale", "at")])
    with pytest.raises(InputError, match="no column 'shopp' in table 'sale'; did you mean 'shop'"):
        database.without([("sale", "shopp")])
    assert database.without([("sale", "shop")])["sale"].references == {"earlier": "sale"}
