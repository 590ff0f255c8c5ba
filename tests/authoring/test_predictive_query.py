"""Predictive queries: what they say, where they point when they cannot be read, and the labels they make."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench.manifest import TableSpec

from relbench_harness.authoring.predictive_query import Aggregate, Column, Operation, parse
from relbench_harness.authoring.task_from_query import task_manifest
from relbench_harness.data.dataset import open_task
from relbench_harness.data.labels import run_sql
from relbench_harness.data.task import read_task
from relbench_harness.errors import InputError

SHARED = Path(os.environ.get("RELBENCH_HARNESS_DATASETS") or Path(__file__).parents[3] / "shared" / "data")
needs_retail = pytest.mark.skipif(
    not (SHARED / "retail-uk" / "manifest.yaml").is_file(), reason=f"no dataset retail-uk in {SHARED}"
)


def test_reads_the_whole_language() -> None:
    query = parse(
        "predict Sum(lines.price * (1 - lines.discount) where lines.kind in ('a', 'it''s'), 0, 2, weeks) "
        'for each "odd table"."a""b" where not customers.vip = true and (a.b is not null or a.c starts with \'x\')'
    )
    target = query.target
    assert isinstance(target, Aggregate) and target.function == "SUM"
    assert (target.start.days, target.end.days) == (0, 14)
    assert query.entity == Column("odd table", 'a"b', query.entity.at)
    assert isinstance(query.where, Operation) and query.where.operator == "AND"
    assert query.where.operands[1].operator == "OR"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("query", "column", "says"),
    [
        ("PREDICT COUNT(orders.*, 0, 30, days = 0 FOR EACH users.id", 37, "expected )"),
        ("PREDICT COUNT(orders.*, 0, 30, days) = 0 FOR users.id", 46, "expected EACH"),
        ("PREDICT COUNT(order.*, 0, 30, days) = 0 FOR EACH users.id", 15, "did you mean 'orders'?"),
        ("PREDICT SUM(orders.totl, 0, 30, days) FOR EACH users.id", 13, "did you mean 'total'"),
        ("PREDICT SUM(orders.*, 0, 30, days) FOR EACH users.id", 13, "needs a column, not *"),
        ("PREDICT SUM(orders.note, 0, 30, days) FOR EACH users.id", 13, "needs numbers"),
        ("PREDICT COUNT(orders.*, 0, 30, days) > 1 FOR EACH users.name", 51, "primary key of 'users', which is 'id'"),
        ("PREDICT COUNT(orders.*, 0, 1, month) > 1 FOR EACH users.id", 31, "no fixed length"),
        ("PREDICT COUNT(orders.*, 5, 5, days) > 1 FOR EACH users.id", 28, "ends after its start"),
        ("PREDICT COUNT(orders.*, -5, 5, days) > 1 FOR EACH users.id", 9, "lies in the future"),
        ("PREDICT COUNT(orders.*, 0, 5) FOR EACH users.id WHERE COUNT(orders.*, 0, 5) > 0", 55, "knows only the past"),
        ("PREDICT COUNT(orders.*, 0, 5) FOR EACH users.id ASSUMING COUNT(orders.*, 0, 5) > 0", 49, "ASSUMING"),
        ("PREDICT LIST_DISTINCT(orders.item, 0, 5) FOR EACH users.id", 9, "needs RANK TOP k"),
        ("PREDICT LIST_DISTINCT(orders.note, 0, 5) RANK TOP 3 FOR EACH users.id", 23, "no foreign key"),
        ("PREDICT COUNT(orders.*, 0, 5) RANK TOP 3 FOR EACH users.id", 9, "LIST_DISTINCT"),
        ("PREDICT COUNT(logins.*, 0, 5) FOR EACH users.id", 9, "no foreign keys lead"),
        ("PREDICT COUNT(messages.*, 0, 5) FOR EACH users.id", 9, "VIA messages."),
        ("PREDICT COUNT(messages.* VIA orders.user, 0, 5) FOR EACH users.id", 30, "no path"),
        ("PREDICT COUNT(orders.*, 0, 5) FOR EACH users.id WHERE items.price > 3", 55, "not the entity's table"),
        ("PREDICT users.name FOR EACH users.id", 9, "has no time column"),
        ("PREDICT ? FOR EACH users.id", 9, "unexpected '?'"),
        ("PREDICT COUNT(orders.*, 0, 5) FOR EACH users", 45, "the query ends here"),
    ],
)
def test_errors_point_at_the_column(query: str, column: int, says: str) -> None:
    with pytest.raises(InputError) as caught:
        task_manifest("t", query, SPECS, COLUMNS)
    message = str(caught.value)
    assert message.startswith(f"predictive query, column {column}: "), message
    assert says in message
    _, text, caret = message.split("\n")
    assert caret.index("^") == text.index(query[:5]) + column - 1


SPECS = {
    "users": TableSpec("id", None, {}),
    "orders": TableSpec("order", "at", {"user": "users", "item": "items"}),
    "parts": TableSpec("part", None, {"order": "orders"}),
    "items": TableSpec("item", None, {}),
    "messages": TableSpec("id", "at", {"sender": "users", "receiver": "users"}),
    "logins": TableSpec("id", "at", {}),
}
NUMBER, TEXT, TIME = pa.int64(), pa.string(), pa.timestamp("ns")
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "users": {"id": NUMBER, "name": TEXT},
    "orders": {"order": NUMBER, "at": TIME, "user": NUMBER, "item": NUMBER, "total": pa.float64(), "note": TEXT},
    "parts": {"part": NUMBER, "order": NUMBER, "weight": pa.float64()},
    "items": {"item": NUMBER, "price": pa.float64()},
    "messages": {"id": NUMBER, "at": TIME, "sender": NUMBER, "receiver": NUMBER},
    "logins": {"id": NUMBER, "at": TIME},
}


def day(number: float) -> datetime.datetime:
    return datetime.datetime(2020, 1, 1) + datetime.timedelta(days=number)


def labels(query: str, tables: dict[str, list[dict[str, Any]]], days: list[int]) -> list[tuple[Any, ...]]:
    """Rows (day, entity, target) of the query's SQL."""
    manifest = task_manifest("t", query, SPECS, COLUMNS)
    arrow = {
        name: pa.Table.from_pylist(tables.get(name, []), schema=pa.schema(list(columns.items())))
        for name, columns in COLUMNS.items()
    }
    arrow["timestamps"] = pa.table({"timestamp": pa.array([day(d) for d in days], TIME)})
    rows = run_sql(manifest["sql"].replace("{timedelta}", manifest["timedelta"]), arrow, "test")
    return sorted((row[0], row[1], row[2]) for row in zip(*(c.to_pylist() for c in rows.columns), strict=True))


USERS = [{"id": 0, "name": "ann"}, {"id": 1, "name": "bob"}]


def test_windows_are_open_at_the_start_and_closed_at_the_end() -> None:
    orders = [{"order": i, "at": day(d), "user": 0, "item": 0, "total": 1.0} for i, d in enumerate((10, 11, 15, 15.001))]
    got = labels("PREDICT COUNT(orders.*, 0, 5, days) FOR EACH users.id", {"users": USERS, "orders": orders}, [10])
    assert [row[1:] for row in got] == [(0, 2), (1, 0)]


def test_rows_without_a_time_take_that_of_their_parent() -> None:
    tables = {
        "users": USERS,
        "orders": [{"order": 0, "at": day(2), "user": 1}, {"order": 1, "at": day(9), "user": 1}],
        "parts": [{"part": 0, "order": 0, "weight": 2.0}, {"part": 1, "order": 0, "weight": 3.0}, {"part": 2, "order": 1}],
    }
    got = labels("PREDICT SUM(parts.weight, 0, 5) FOR EACH users.id", tables, [0])
    assert [row[1:] for row in got] == [(0, 0.0), (1, 5.0)]


def test_via_chooses_between_paths() -> None:
    messages = [{"id": 0, "at": day(1), "sender": 0, "receiver": 1}, {"id": 1, "at": day(2), "sender": 0, "receiver": 0}]
    tables = {"users": USERS, "messages": messages}
    sent = labels("PREDICT COUNT(messages.* VIA messages.sender, 0, 5) FOR EACH users.id", tables, [0])
    received = labels("PREDICT COUNT(messages.* VIA messages.receiver, 0, 5) FOR EACH users.id", tables, [0])
    assert [row[2] for row in sent] == [2, 0]
    assert [row[2] for row in received] == [1, 1]


def test_parents_of_a_row_may_be_named_inside_an_aggregate() -> None:
    tables = {
        "users": USERS,
        "items": [{"item": 0, "price": 5.0}, {"item": 1, "price": 50.0}],
        "orders": [{"order": i, "at": day(1), "user": 0, "item": i, "total": 3.0} for i in (0, 1)],
    }
    got = labels(
        "PREDICT SUM(items.price * orders.total WHERE items.price < 10, 0, 5) FOR EACH users.id WHERE users.name = 'ann'",
        tables,
        [0],
    )
    assert [row[1:] for row in got] == [(0, 15.0)]


def test_many_to_many_rows_are_counted_once() -> None:
    tables = {
        "users": USERS,
        "items": [{"item": 0, "price": 5.0}],
        "orders": [{"order": i, "at": day(i), "user": 0, "item": 0, "total": 3.0} for i in (1, 2)],
        "parts": [{"part": 0, "order": 1, "weight": 1.0}],
    }
    with pytest.raises(InputError, match="count them twice"):
        labels("PREDICT SUM(items.price, 0, 5) FOR EACH users.id", tables, [0])
    got = labels("PREDICT COUNT(items.*, 0, 5) FOR EACH users.id", tables, [0])
    assert [row[1:] for row in got] == [(0, 1), (1, 0)]


def test_odd_names_are_quoted() -> None:
    specs = {'a "b': TableSpec("key col", "select", {}), "c;d": TableSpec("x", "time", {"from": 'a "b'})}
    columns = {'a "b': {"key col": NUMBER, "select": TIME}, "c;d": {"x": NUMBER, "time": TIME, "from": NUMBER}}
    manifest = task_manifest("drop table", 'PREDICT COUNT("c;d".*, 0, 5) > 0 FOR EACH "a ""b"."key col"', specs, columns)
    arrow = {
        'a "b': pa.table({"key col": [0, 1], "select": pa.array([day(0), day(9)], TIME)}),
        "c;d": pa.table({"x": [0], "time": pa.array([day(3)], TIME), "from": [0]}),
        "timestamps": pa.table({"timestamp": pa.array([day(1)], TIME)}),
    }
    rows = run_sql(manifest["sql"].replace("{timedelta}", manifest["timedelta"]), arrow, "test")
    assert rows.num_rows == 1, "the entity of day 9 does not exist on day 1"
    assert rows.column("drop_table").to_pylist() == [1]


def test_text_in_a_query_stays_text() -> None:
    got = labels(
        "PREDICT COUNT(orders.*, 0, 5) FOR EACH users.id WHERE users.name = '''; DROP TABLE users; --'",
        {"users": USERS},
        [0],
    )
    assert got == []


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(-3, 3)), max_size=15),
    start=st.integers(0, 4),
    length=st.integers(1, 6),
)
def test_labels_equal_those_counted_by_hand(rows: list[tuple[int, int, int]], start: int, length: int) -> None:
    users = [{"id": i, "name": "x"} for i in range(3)]
    orders = [{"order": i, "at": day(d), "user": u, "total": float(v)} for i, (u, d, v) in enumerate(rows)]
    end = start + length
    got = labels(
        f"PREDICT SUM(orders.total, {start}, {end}) > COUNT(orders.* WHERE orders.total < 0, 0, {end}) "
        "FOR EACH users.id WHERE COUNT(orders.*, -7, 0) > 0 OR MAX(orders.total, -3, 0) = 3",
        {"users": users, "orders": orders},
        [5, 12],
    )
    expected = []
    for t in (5, 12):
        for user in range(3):
            mine = [(d - t, v) for u, d, v in rows if u == user]
            if not any(-7 < d <= 0 for d, _ in mine):
                continue
            total = sum(v for d, v in mine if start < d <= end)
            negative = sum(1 for d, v in mine if 0 < d <= end and v < 0)
            expected.append((day(t), user, int(total > negative)))
    assert got == sorted(expected)


HAND_WRITTEN = [
    (
        "retail-uk/customer-churn",
        "PREDICT COUNT(invoices.*, 0, 90, days) = 0 FOR EACH customers.customer WHERE COUNT(invoices.*, -180, 0, days) > 0",
    ),
    (
        "retail-uk/customer-spend",
        "PREDICT SUM(lines.quantity * lines.price, 0, 90, days) FOR EACH customers.customer "
        "WHERE COUNT(invoices.*, -180, 0, days) > 0",
    ),
    (
        "retail-uk/customer-product",
        "PREDICT LIST_DISTINCT(lines.product WHERE products.is_service = 0, 0, 30, days) RANK TOP 10 "
        "FOR EACH customers.customer",
    ),
    (
        "retail-uk/product-sales",
        "PREDICT SUM(lines.quantity * lines.price, 0, 30, days) FOR EACH products.product "
        "WHERE COUNT(lines.*, -60, 0, days) > 0 AND products.is_service = 0",
    ),
]


@needs_retail
@pytest.mark.parametrize(("task", "query"), HAND_WRITTEN, ids=[address for address, _ in HAND_WRITTEN])
def test_reproduces_hand_written_labels(task: str, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(SHARED))
    from relbench_harness.authoring.manifest_text import dumped

    dataset, hand = open_task(task)
    columns = {n: {f.name: f.type for f in t.rows.schema} for n, t in dataset.database.items()}
    manifest = task_manifest("mine", query, dataset.manifest.tables, columns)
    (tmp_path / "manifest.yaml").write_text(dumped(manifest))
    specs = {n: (s.pkey, s.time_col) for n, s in dataset.manifest.tables.items()}
    mine = read_task(tmp_path / "manifest.yaml", dataset.name, specs)
    assert (mine.type, mine.eval_k) == (hand.type, hand.eval_k)
    for split in ("train", "val", "test"):
        got, want = dataset.labels(mine, split), dataset.labels(hand, split)
        np.testing.assert_array_equal(got.entity, want.entity)
        np.testing.assert_array_equal(got.time, want.time)
        if hand.item_table is not None:
            assert got.target.equals(want.target.cast(got.target.type))
        else:
            # sums of floats in another order differ in their last digits
            np.testing.assert_allclose(np.asarray(got.target, float), np.asarray(want.target, float), rtol=1e-9, atol=1e-9)
