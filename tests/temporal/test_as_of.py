"""As-of keys find the latest strictly older row under the same parent."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_examples import DAY

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.structure import Graph
from relbench_harness.temporal.as_of import AsOfIndex, AsOfKey
from relbench_harness.temporal.paths import ForeignKey

KEY = AsOfKey(ForeignKey("visits", "store", "stores"), ForeignKey("shifts", "store", "stores"))
BILLS = AsOfKey(KEY.left, ForeignKey("bills", "visit", "visits"), via_sibling=True)


def timed(name: str, columns: dict[str, object], references: dict[str, str]) -> Table:
    columns = {**columns, "at": pa.array(columns["at"]).cast(pa.timestamp("ns"))}
    return Table(name, pa.table(columns), time="at", references=MappingProxyType(references))


def visited(visits: tuple[list[int], list[int]], shifts: tuple[list[int], list[int]], stores: int) -> Database:
    """Visits and shifts given as (times, stores), −1 for no store."""
    tables = [
        timed(name, {"at": at, "store": pa.array(store, mask=np.array(store, np.int64) < 0)}, {"store": "stores"})
        for name, (at, store) in (("visits", visits), ("shifts", shifts))
    ]
    return Database([Table("stores", pa.table({"store": np.arange(stores)}), key="store"), *tables])


rows = st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 2)), min_size=1, max_size=30).map(
    lambda pairs: tuple(map(list, zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)))
)


@settings(deadline=None)
@given(rows, rows)
def test_the_latest_strictly_older_row_of_the_same_parent_is_found(
    visits: tuple[list[int], list[int]], shifts: tuple[list[int], list[int]]
) -> None:
    graph = Graph.from_database(visited(visits, shifts, 3))
    found, days = AsOfIndex(graph, KEY).find(np.arange(len(visits[0])))
    for row, (at, store) in enumerate(zip(*visits, strict=True)):
        before = [i for i, (start, of) in enumerate(zip(*shifts, strict=True)) if of == store >= 0 and start < at]
        assert found[row] == (before[-1] if before else -1)
        assert days[row] == pytest.approx((at - shifts[0][before[-1]]) / DAY if before else 0)


@settings(deadline=None)
@given(rows, st.lists(st.tuples(st.integers(0, 12), st.integers(-1, 29)), max_size=30))
def test_the_latest_thing_that_became_of_an_earlier_sibling_is_found(
    visits: tuple[list[int], list[int]], bills: list[tuple[int, int]]
) -> None:
    bills = sorted((at, visit if visit < len(visits[0]) else -1) for at, visit in bills)
    at, store = (np.array(column, np.int64) for column in visits)
    due, visit = np.array([b[0] for b in bills], np.int64), np.array([b[1] for b in bills], np.int64)
    plain = visited(visits, ([0], [0]), 3)
    numbered = Table(
        "visits",
        plain["visits"].rows.append_column("visit", pa.array(np.arange(len(at)))),
        key="visit",
        time="at",
        references=plain["visits"].references,
    )
    named = pa.array(visit, pa.int64(), mask=visit < 0)
    graph = Graph.from_database(
        Database([plain["stores"], numbered, timed("bills", {"at": due, "visit": named}, {"visit": "visits"})])
    )
    found, days = AsOfIndex(graph, BILLS).find(np.arange(len(at)))
    for row in range(len(at)):
        before = [
            i
            for i in np.flatnonzero((visit >= 0) & (due < at[row]))
            if at[visit[i]] <= due[i] and store[visit[i]] == store[row] >= 0
        ]
        assert found[row] == (before[-1] if before else -1)
        assert days[row] == pytest.approx((at[row] - due[before[-1]]) / DAY if before else 0)


def test_where_there_are_no_parents_nothing_is_found() -> None:
    index = AsOfIndex(Graph.from_database(visited(([0, 1], [-1, -1]), ([0], [-1]), 0)), KEY)
    assert index.find(np.arange(2)).row.tolist() == [-1, -1]
    assert not index.is_informative()


@pytest.mark.parametrize(
    ("shifts", "read"),
    [
        (([0, 2, 4, 6], [0, 0, 0, 0]), True),
        (([0, 0, 0, 4, 4, 4], [0] * 6), False),  # three came at once
        (([0, 0, 4, 4], [0, 1, 0, 1]), True),  # at once, but under other parents
        (([19, 19], [0, 1]), False),  # hardly a visit comes after one
        (([], []), False),
    ],
)
def test_keys_that_seldom_find_a_row_or_find_several_are_not_read(shifts: tuple[list[int], list[int]], read: bool) -> None:
    graph = Graph.from_database(visited((list(range(20)), [0, 1] * 10), shifts, 2))
    assert AsOfIndex(graph, KEY).is_informative() == read
