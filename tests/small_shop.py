"""A small shop with a known cause: what a user's latest order was worth decides all answers about the user."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.protocol.method import Examples, Labels, Ragged

DAY = 86_400 * 10**9
USERS, ITEMS, ORDERS = 60, 12, 900


def shop(seed: int = 0) -> Database:
    """users and items (static), orders of users, order lines of items; one in twenty users never orders."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 200 * DAY, ORDERS))
    user = rng.integers(0, USERS - 3, ORDERS)
    worth = rng.normal(size=ORDERS)
    order = np.sort(rng.integers(0, ORDERS, 2 * ORDERS))
    users = pa.table(
        {
            "user": np.arange(USERS),
            "born on": pa.array(rng.integers(-9000, 0, USERS) * DAY).cast(pa.timestamp("ns")),
            "select": pa.array(rng.choice(["a", "b", None], USERS)),
        }
    )
    items = pa.table({"item": np.arange(ITEMS), "name": [f"thing {i % 5} of {i}" for i in range(ITEMS)]})
    orders = pa.table(
        {
            "order": np.arange(ORDERS),
            "user": user,
            "at": pa.array(times).cast(pa.timestamp("ns")),
            "worth": worth,
            "nothing": pa.nulls(ORDERS, pa.float64()),
            "gift": pa.array(rng.random(ORDERS) < 0.3),
        }
    )
    lines = pa.table(
        {
            "order": order,
            "item": (user[order] + (rng.random(2 * ORDERS) < 0.2)) % ITEMS,
            "at": pa.array(times[order]).cast(pa.timestamp("ns")),
            "pieces": rng.integers(1, 9, 2 * ORDERS),
        }
    )
    tables = [
        Table("users", users, key="user"),
        Table("items", items, key="item"),
        Table("orders", orders, key="order", time="at", references=MappingProxyType({"user": "users"})),
        Table("lines", lines, time="at", references=MappingProxyType({"order": "orders", "item": "items"})),
        Table("bare", pa.table({"bare": pa.array([], pa.int64())}), key="bare"),
    ]
    return Database(tables)


def asked(database: Database, kind: TaskType, days: range, seed: int = 0) -> Examples:
    """Every user on each of `days`, answered by the worth of the latest order before then."""
    recommends = kind is TaskType.RECOMMENDATION
    task = Task(
        dataset="shop",
        name="task",
        kind=Kind.FORECAST,
        type=kind,
        entity_table="users",
        entity_col="user",
        target="target",
        time_col="time",
        horizon=pd.Timedelta(days=10),
        item_table="items" if recommends else None,
        item_col="item" if recommends else None,
        eval_k=3 if recommends else None,
    )
    entity = np.tile(np.arange(USERS), len(days))
    time = np.repeat(np.asarray(days, np.int64) * DAY, USERS)
    worth = np.array([_latest(database, u, t) for u, t in zip(entity, time, strict=True)])
    end = int(time.max())
    classes = ("low", "middle", "high") if kind is TaskType.MULTICLASS else ()
    width = 3 if kind is TaskType.MULTILABEL else 0
    labels = _labels(kind, worth, entity)
    seen = database.upto(end, {"users": USERS})
    return Examples(task, seen, entity, time, time.copy(), labels, "rolling", 150 * DAY, classes, width)


def _latest(database: Database, user: int, t: int) -> float:
    orders = database["orders"]
    assert orders.times is not None
    rows = np.flatnonzero((orders.parents("user") == user) & (orders.times < t))
    return float(orders.rows.column("worth")[int(rows[-1])].as_py()) if len(rows) else 0.0


def _labels(kind: TaskType, worth: np.ndarray, entity: np.ndarray) -> Labels:
    if kind is TaskType.REGRESSION:
        return worth
    if kind is TaskType.BINARY:
        return (worth > 0).astype(np.float64)
    if kind is TaskType.MULTICLASS:
        return np.digitize(worth, [-0.4, 0.4]).astype(np.int64)
    if kind is TaskType.MULTILABEL:
        return np.stack([worth > 0, worth > 0.5, worth < -0.5], axis=1).astype(np.float64)
    return Ragged(np.arange(len(entity) + 1), (entity % ITEMS).astype(np.int64))


def scrambled(examples: Examples, at: int, seed: int = 1) -> Examples:
    """The same questions; every row at or after `at` says something else, and half of them are gone."""
    rng = np.random.default_rng(seed)
    tables = []
    for table in examples.database.values():
        first = int(table.visible(at)[0])
        rows = table.rows
        for name in table.attributes:
            column = rows.column(name).combine_chunks()
            order = np.concatenate([np.arange(first), first + rng.permutation(len(rows) - first)])
            rows = rows.set_column(rows.column_names.index(name), name, column.take(pa.array(order)))
        keep = len(rows) if table.time is None else first + (len(rows) - first) // 2
        tables.append(replace(table, rows=rows).prefix(keep) if table.key is None else replace(table, rows=rows))
    return replace(examples, database=Database(tables))
