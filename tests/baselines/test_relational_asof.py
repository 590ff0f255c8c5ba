"""As-of keys: they find the latest earlier row under the same parent, and a network learns through them what no key tells."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench_harness.baselines import reader
from relbench_harness.baselines.asof import AsOf, Opened, as_of_keys, telling
from relbench_harness.baselines.relational_gnn import RelationalGNN
from sklearn.metrics import roc_auc_score
from small_shop import DAY, asked, shop

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.graph.structure import Graph
from relbench_harness.protocol.method import Budget, Examples

USERS, STORES, STAFF, VISITS, SHIFTS = 80, 5, 20, 1500, 1000
KEY = AsOf("visits", "store", "shifts", "store")


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
    found, days = Opened(graph, KEY).before(np.arange(len(visits[0])))
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
    found, days = Opened(graph, AsOf("visits", "store", "bills", "visit", below=True)).before(np.arange(len(at)))
    for row in range(len(at)):
        before = [
            i
            for i in np.flatnonzero((visit >= 0) & (due < at[row]))
            if at[visit[i]] <= due[i] and store[visit[i]] == store[row] >= 0
        ]
        assert found[row] == (before[-1] if before else -1)
        assert days[row] == pytest.approx((at[row] - due[before[-1]]) / DAY if before else 0)


def test_where_there_are_no_parents_nothing_is_found() -> None:
    opened = Opened(Graph.from_database(visited(([0, 1], [-1, -1]), ([0], [-1]), 0)), KEY)
    assert opened.before(np.arange(2))[0].tolist() == [-1, -1]
    assert not opened.tells()


def test_only_events_of_the_entity_under_other_parents_have_such_keys() -> None:
    assert as_of_keys(world(), "users") == (KEY,)
    assert not as_of_keys(world(), "stores")
    assert not as_of_keys(world(), "visits")
    assert as_of_keys(world(), "visits", own_row=True) == (KEY,)
    assert not as_of_keys(shop(), "users")


@pytest.mark.parametrize(
    ("shifts", "told"),
    [
        (([0, 2, 4, 6], [0, 0, 0, 0]), True),
        (([0, 0, 0, 4, 4, 4], [0] * 6), False),  # three came at once
        (([0, 0, 4, 4], [0, 1, 0, 1]), True),  # at once, but under other parents
        (([19, 19], [0, 1]), False),  # hardly a visit comes after one
        (([], []), False),
    ],
)
def test_keys_that_seldom_find_a_row_or_find_several_are_not_read(shifts: tuple[list[int], list[int]], told: bool) -> None:
    graph = Graph.from_database(visited((list(range(20)), [0, 1] * 10), shifts, 2))
    assert telling(graph, (KEY,)) == ((KEY,) if told else ())


def world() -> Database:
    rng = np.random.default_rng(0)
    tables = [
        Table("users", pa.table({"user": np.arange(USERS)}), key="user"),
        Table("stores", pa.table({"store": np.arange(STORES)}), key="store"),
        Table("staff", pa.table({"staff": np.arange(STAFF), "rude": np.arange(STAFF) % 2 == 0}), key="staff"),
    ]
    visits = {
        "at": np.sort(rng.integers(0, 200 * DAY, VISITS)),
        "user": rng.integers(0, USERS, VISITS),
        "store": rng.integers(0, STORES, VISITS),
    }
    shifts = {
        "at": np.sort(rng.integers(0, 200 * DAY, SHIFTS)),
        "store": rng.integers(0, STORES, SHIFTS),
        "staff": rng.integers(0, STAFF, SHIFTS),
    }
    tables.append(timed("visits", visits, {"user": "users", "store": "stores"}))
    tables.append(timed("shifts", shifts, {"store": "stores", "staff": "staff"}))
    return Database(tables)


def asked_whether_rude(database: Database, days: range) -> Examples:
    """Was someone rude on duty, the last to begin, in the store of the user's latest visit when it took place?"""
    questions = asked(shop(), TaskType.BINARY, days)
    user = np.tile(np.arange(USERS), len(days))
    time = np.repeat(np.array(days) * DAY, USERS)
    visits, shifts = database["visits"], database["shifts"]
    assert visits.times is not None and shifts.times is not None
    labels = np.zeros(len(user))
    for i, (who, when) in enumerate(zip(user, time, strict=True)):
        own = np.flatnonzero((visits.parents("user") == who) & (visits.times < when))
        if len(own):
            same = shifts.parents("store") == visits.parents("store")[own[-1]]
            duty = np.flatnonzero(same & (shifts.times < visits.times[own[-1]]))
            labels[i] = float(len(duty) > 0 and shifts.parents("staff")[duty[-1]] % 2 == 0)
    end = int(time.max())
    return replace(questions, database=database, entity=user, time=time, cutoff=time, labels=labels, fit_end=end)


def test_a_join_on_time_is_learned_and_no_answer_depends_on_the_other_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    database = world()
    train, valid, later = (
        asked_whether_rude(database, d) for d in (range(30, 150, 3), range(155, 171, 5), range(175, 200, 5))
    )
    method = RelationalGNN(channels=24, fans=(4, 2), epochs=12, steps=30, batch=128, rate=0.01)
    budget = Budget(threads=1, device="cpu")
    fitted = method.fit(train, valid, budget)
    told = fitted.predict(replace(later, labels=None))
    found = roc_auc_score(later.values, told)
    few = np.arange(0, len(later), 7)
    np.testing.assert_allclose(fitted.predict(replace(later.take(few), labels=None)), told[few], atol=1e-4)
    monkeypatch.setattr(reader, "as_of_keys", lambda *_: ())
    without = method.fit(train, valid, budget).predict(replace(later, labels=None))
    assert found > max(0.85, roc_auc_score(later.values, without) + 0.2)
