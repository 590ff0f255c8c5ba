"""Paths, what is visible along them, and stretches of history, each against a loop over rows."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.temporal.children import by_parent
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import ForeignKey, KeyPath, child_paths, parent_paths, tables_below
from relbench_harness.temporal.running_totals import RunningTotals, Series
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.visibility import ALWAYS, follow, older_parents, there_by

DAY = 86_400_000_000_000
CUSTOMERS, STORES = 3, 2
ORDER, LINE = ForeignKey("orders", "customer", "customers"), ForeignKey("lines", "order", "orders")


def table(name: str, days: list[int] | None, references: dict[str, tuple[str, list[int | None]]], rows: int) -> Table:
    """A table in canonical order, `references` being column → (parent, keys)."""
    columns: dict[str, pa.Array] = {"id": pa.array(np.arange(rows))}
    columns |= {column: pa.array(keys, pa.int64()) for column, (_, keys) in references.items()}
    if days is not None:
        columns["at"] = pa.array(np.sort(np.array(days, np.int64)) * DAY).cast(pa.timestamp("ns"))
    parents = MappingProxyType({column: parent for column, (parent, _) in references.items()})
    return Table(name, pa.table(columns), key="id", time=None if days is None else "at", references=parents)


@st.composite
def shops(draw: st.DrawFn) -> Database:
    """Customers, orders and lines; orders, or lines, may be static, keys may be missing, lines may precede their order."""

    def keys(count: int, below: int) -> list[int | None]:
        one = st.none() | st.integers(0, below - 1) if below else st.none()
        return draw(st.lists(one, min_size=count, max_size=count))

    def days(count: int) -> list[int] | None:
        return draw(st.none() | st.lists(st.integers(0, 6), min_size=count, max_size=count))

    orders, lines = draw(st.integers(0, 6)), draw(st.integers(0, 9))
    return Database(
        [
            table("customers", None, {}, CUSTOMERS),
            table("orders", days(orders), {"customer": ("customers", keys(orders, CUSTOMERS))}, orders),
            table("lines", days(lines), {"order": ("orders", keys(lines, orders))}, lines),
        ]
    )


def by_hand(database: Database, path: KeyPath, row: int) -> tuple[int, int]:
    """The row at the top of `path`, −1 for none, and the latest time on the way without the top's."""
    latest, at = ALWAYS, row
    for key in path.keys:
        times = database[key.child].times
        if times is not None:
            latest = max(latest, int(times[at]))
        at = int(database[key.child].parents(key.column)[at])
        if at < 0:
            return -1, latest
    return at, latest


@settings(max_examples=80, deadline=None)
@given(shops())
def test_a_path_is_followed_row_by_row(database: Database) -> None:
    for path in child_paths(database, "customers", 2):
        found = follow(database, path)
        for row in range(len(database[path.table])):
            assert (found.row[row], found.available[row]) == by_hand(database, path, row)


@settings(max_examples=80, deadline=None)
@given(shops(), st.lists(st.tuples(st.integers(-1, CUSTOMERS - 1), st.integers(0, 14)), min_size=1, max_size=8))
def test_what_is_seen_of_a_history_is_what_a_loop_finds(database: Database, seeds: list[tuple[int, int]]) -> None:
    who, when = np.array([s[0] for s in seeds]), np.array([s[1] * DAY // 2 for s in seeds])
    for path in child_paths(database, "customers", 2):
        history = History.along(database, path)
        assert history.is_timed == any(database[t].times is not None for t in path.tables if len(history.rows))
        first, last = history.seen(who, when)
        latest = history.latest(who, when)
        for i, (owner, t) in enumerate(seeds):
            rows = [(by_hand(database, path, r), r) for r in range(len(database[path.table]))]
            expected = [r for (top, at), r in rows if top == owner >= 0 and at < t * DAY // 2]
            expected.sort(key=lambda r: (by_hand(database, path, r)[1], r))
            assert history.rows[first[i] : last[i]].tolist() == expected
            assert latest[i] == (expected[-1] if expected else -1)


@settings(max_examples=60, deadline=None)
@given(shops(), st.lists(st.integers(0, 6), min_size=9, max_size=9))
def test_parents_are_older_or_there_by_a_time(database: Database, days: list[int]) -> None:
    parents = database["lines"].parents("order")
    older, at = older_parents(database, LINE), np.array(days[: len(parents)], np.int64) * DAY
    there = there_by(database["orders"], parents, at)
    lines, orders = database["lines"].times, database["orders"].times
    for row, parent in enumerate(parents):
        visible = orders is None or (lines is not None and parent >= 0 and orders[parent] <= lines[row])
        assert older[row] == (parent if visible else -1)
        assert there[row] == (parent >= 0 and (orders is None or orders[parent] <= at[row]))


def test_paths_do_not_come_back_to_a_table() -> None:
    database = Database(
        [
            table("customers", None, {}, 1),
            table("stores", None, {"owner": ("customers", [])}, 0),
            table("orders", [], {"customer": ("customers", []), "store": ("stores", []), "follows": ("orders", [])}, 0),
        ]
    )
    names = [path.name for path in child_paths(database, "customers", 3)]
    assert names == ["stores[owner]", "stores[owner]/orders[store]", "orders[customer]"]
    # a key from a table to itself is one path, and part of no other
    assert [path.name for path in child_paths(database, "orders", 3)] == ["orders[follows]"]
    assert [p.columns for p in parent_paths(database, "orders", "customers", 2)] == [
        ("customer",),
        ("store", "owner"),
        ("follows", "customer"),
    ]
    assert tables_below(database, "customers") == {"stores", "orders"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 4), max_size=20))
def test_children_are_grouped_in_row_order(named: list[int]) -> None:
    starts, rows = by_parent(np.array(named, np.int64), 5)
    assert [rows[starts[p] : starts[p + 1]].tolist() for p in range(5)] == [
        [row for row, parent in enumerate(named) if parent == p] for p in range(5)
    ]


OWNED = st.lists(
    st.lists(st.none() | st.floats(-1e6, 1e6), max_size=12), min_size=1, max_size=3
)  # values of each of up to three owners


@settings(max_examples=80, deadline=None)
@given(OWNED, st.data())
def test_series_equal_pandas(owned: list[list[float | None]], data: st.DataObject) -> None:
    values = [np.array([np.nan if v is None else v for v in one]) for one in owned]
    starts = np.cumsum([0, *(len(one) for one in values)])
    series = Series(np.concatenate(values), starts)
    owner = data.draw(st.integers(0, len(owned) - 1))
    ends = sorted(data.draw(st.tuples(st.integers(0, len(owned[owner])), st.integers(0, len(owned[owner])))))
    inside = pd.Series(values[owner][ends[0] : ends[1]])
    stretch = Stretch(*(np.array([starts[owner] + end]) for end in ends))
    scale = 1 + float(np.nanmax(np.abs(np.concatenate([*values, [0.0]]))))
    at = np.array([owner])
    assert series.mean(at, stretch)[0] == pytest.approx(inside.mean(), abs=1e-9 * scale, nan_ok=True)
    # the square root of a difference keeps half the digits
    assert series.std(at, stretch)[0] == pytest.approx(inside.std(), abs=1e-6 * scale, nan_ok=True)
    most = data.draw(st.integers(1, 5))
    low, high = series.extremes(stretch, most)
    tail = inside.tail(most)
    assert (low[0], high[0]) == pytest.approx((tail.min(), tail.max()), abs=0, nan_ok=True)


def test_totals_start_anew_at_every_owner() -> None:
    """A huge number, or a missing one, of one owner leaves the sums of the next untouched."""
    starts, order = np.array([0, 2, 5]), np.arange(5)
    columns = [np.array([1e300, np.nan, 1.0, np.nan, 3.0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])]
    totals = RunningTotals.of(iter(columns), 2, starts, order)
    count, total = totals.between(np.array([1]), np.array([[2, 3, 5]]), np.array([5]))
    assert count[0].tolist() == [[2.0, 3.0], [1.0, 2.0], [0.0, 0.0]]
    assert total[0].tolist() == [[4.0, 12.0], [3.0, 9.0], [0.0, 0.0]]
