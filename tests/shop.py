"""A shop with known causes: the synthetic database of all tests, in memory here and as a RelBench 3 folder in `shop_folder`.

Each customer buys at a steady rate, mostly one favourite product, over one preferred channel; what an order is worth is drawn
anew each time. Labels of every task type follow from a customer's habits or from the worth of the latest order.

Names hold spaces, quotes and SQL keywords; columns are of every kind, one of them all null; two tables are empty, one refers
to itself, some keys are null, some lines precede their order, some rows share an instant, and some stand exactly at a cut.
Invariant: equal arguments make equal tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from made_examples import DAY, every_pair, made_examples, made_task
from numpy.typing import NDArray
from relbench.manifest import TableSpec

from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.data.task import Task, TaskType
from relbench_harness.protocol.method import Examples, Labels, Ragged

START = pd.Timestamp("2021-01-01")
HORIZON = 20
"""Days of the window that a label comes from."""
CHANNELS = ("shop", "web", "phone")
PRODUCTS = 12
ABSENT = 3
"""The last customers, who never order."""

SPECS = {
    "customer": TableSpec("customer id", None, {}),
    "products": TableSpec("product", None, {}),
    "order": TableSpec("order", "placed at", {"customer": "customer"}),
    "order lines": TableSpec(None, "when", {"order": "order", "product": "products"}),
    "tickets": TableSpec("ticket", "opened", {"customer": "customer", "follows": "tickets"}),
    "visits": TableSpec(None, "at", {"customer": "customer"}),
    "shelves": TableSpec("shelf", None, {}),
}

Cause = Literal["latest order", "habit"]
CUTS: Mapping[Cause, tuple[float, float, float]] = {"latest order": (-0.4, 0.0, 0.4), "habit": (3.3, 5.0, 6.6)}
"""Where labels with classes cut the number that causes them: its lower third, its middle, its upper third."""


class Size(NamedTuple):
    """How many customers, orders and days a shop has, and how often the clock of its rows ticks in a day."""

    customers: int = 60
    orders: int = 2700
    days: int = 300
    ticks: int = 24 * 60


@dataclass(frozen=True)
class Shop:
    """The tables of a shop and why its customers do what they do.

    Attributes:
        tables: Tables as at their source.
        cause: What labels follow from: the worth of the latest order before an example, or the customer's rate of buying.
        rate: (customers,) how often each buys, between 0 and 1.
        favourite: (customers,) the product that each mostly buys, and the label where items are recommended.
    """

    tables: Mapping[str, pa.Table]
    cause: Cause
    rate: NDArray[np.float64]
    favourite: NDArray[np.int64]

    @cached_property
    def database(self) -> Database:
        return canonical(self.tables, SPECS, "shop")

    @staticmethod
    def task(type_: TaskType) -> Task:
        recommends = type_ is TaskType.RECOMMENDATION
        task = made_task("customer", type_, days=HORIZON, items="products")
        return replace(task, entity_col="customer id", time_col="date", item_col="product" if recommends else None)

    def examples(self, type_: TaskType, days: Sequence[int], fit_day: int = 150, gap: int = 0) -> Examples:
        """Every customer on each of `days`, who sees rows up to `gap` days before it."""
        entity, time = every_pair(len(self.rate), days, START.value)
        found = made_examples(
            self.task(type_), self.database, (entity, time), self.labels(type_, entity, time), at(fit_day)
        )
        return replace(
            found,
            cutoff=time - gap * DAY,
            regime="frozen" if gap else "rolling",
            classes=("low", "middle", "high") if type_ is TaskType.MULTICLASS else (),
            width=2 if type_ is TaskType.MULTILABEL else 0,
        )

    def labels(self, type_: TaskType, entity: NDArray[np.int64], time: NDArray[np.int64]) -> Labels:
        """The labels of examples about `entity` at `time` (nanoseconds)."""
        if type_ is TaskType.RECOMMENDATION:
            return Ragged(np.arange(len(entity) + 1), self.favourite[entity])
        level = self._latest_worth(entity, time) if self.cause == "latest order" else self._habit(entity, time)
        lower, middle, upper = CUTS[self.cause]
        if type_ is TaskType.BINARY:
            return (level > middle).astype(np.float64)
        if type_ is TaskType.MULTICLASS:
            return np.digitize(level, [lower, upper]).astype(np.int64)
        if type_ is TaskType.MULTILABEL:
            return np.stack([level > lower, level > upper], axis=1).astype(np.float64)
        return level

    def _habit(self, entity: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ten times the rate, a little noise aside."""
        noise = np.random.default_rng(int((time[0] - START.value) // DAY)).normal(0, 0.5, len(entity))
        return np.asarray(10 * self.rate[entity] + noise)

    def _latest_worth(self, entity: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the latest order older than each example was worth, 0 without any."""
        orders = self.database["order"]
        assert orders.times is not None
        customer, worth = orders.parents("customer"), orders.rows.column("worth").to_numpy()
        found = np.zeros(len(entity))
        for one in np.unique(entity):
            rows, about = np.flatnonzero(customer == one), np.flatnonzero(entity == one)
            before = np.searchsorted(orders.times[rows], time[about], side="left")
            found[about] = np.append(0.0, worth[rows])[before]
        return found


def at(day: int) -> int:
    """The first instant of a day of the shop, in nanoseconds since 1970."""
    return int(START.value) + day * DAY


def made_shop(cause: Cause = "latest order", seed: int = 0, size: Size = Size()) -> Shop:  # noqa: B008
    """A shop of `size`, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0, 1, size.customers)
    rate[-ABSENT:] = 0
    favourite = rng.integers(0, PRODUCTS, size.customers)
    who = rng.choice(size.customers, size.orders, p=rate / rate.sum())
    placed = rng.integers(0, size.days * size.ticks, size.orders)
    # a few orders at the very instants of examples
    instants = np.arange(60, 120, 10) * size.ticks
    placed[rng.choice(size.orders, len(instants), replace=False)] = instants
    placed = np.sort(placed) * (DAY // size.ticks)
    tables = {
        "customer": _customers(rng, favourite),
        "products": pa.table(
            {
                "product": np.arange(PRODUCTS),
                'unit "price"': np.linspace(1, 30, PRODUCTS),
                "name": [f"thing {i % 5} of {i}" for i in range(PRODUCTS)],
            }
        ),
        "order": _orders(rng, who, placed, rate, favourite),
        "order lines": _lines(rng, placed, favourite[who]),
        "tickets": _tickets(rng, who, size),
        "visits": pa.table(
            {"at": _times(np.zeros(0, np.int64)), "customer": pa.array([], pa.int64()), "page": pa.array([], pa.string())}
        ),
        "shelves": pa.table({"shelf": pa.array([], pa.int64())}),
    }
    return Shop(tables, cause, rate, favourite)


def _customers(rng: np.random.Generator, favourite: NDArray[np.int64]) -> pa.Table:
    """Columns that tell a customer's preferred channel, and others that tell nothing."""
    count, taste = len(favourite), favourite % len(CHANNELS)
    return pa.table(
        {
            "customer id": np.arange(count),
            "age": pa.array([None if i % 7 == 0 else float(20 + taste[i] * 15 + i % 5) for i in range(count)]),
            "region": pa.array([None if i % 11 == 0 else f"r{taste[i]}" for i in range(count)]),
            "vip": pa.array((rng.random(count) < 0.3).tolist()),
            "born": pa.array([date(1950, 1, 1) + timedelta(days=400 * i) for i in range(count)]),
            "select": pa.array([None] * count, pa.string()),
            "limit": pa.array([Decimal(int(k)) / 10 for k in rng.integers(1, 90, count)], pa.decimal128(8, 2)),
            "tags": pa.array([["a"] * int(t) for t in taste], pa.list_(pa.string())),
        }
    )


def _orders(
    rng: np.random.Generator,
    who: NDArray[np.int64],
    placed: NDArray[np.int64],
    rate: NDArray[np.float64],
    favourite: NDArray[np.int64],
) -> pa.Table:
    count = len(who)
    amount = np.round(20 * rate[who] + rng.normal(0, 4, count), 2)
    channel = np.where(rng.random(count) < 0.7, favourite[who] % len(CHANNELS), rng.integers(0, len(CHANNELS), count))
    return pa.table(
        {
            "order": np.arange(count),
            "placed at": _times(placed),
            "customer": pa.array([None if i % 29 == 0 else int(c) for i, c in enumerate(who)], pa.int64()),
            "channel": pa.array([CHANNELS[c] for c in channel]),
            'amount "now" paid': pa.array([None if i % 13 == 0 else float(a) for i, a in enumerate(amount)]),
            "gift": pa.array((amount + rng.normal(0, 5, count) > np.median(amount)).astype(np.int64)),
            "worth": rng.normal(size=count),
        }
    )


def _lines(rng: np.random.Generator, placed: NDArray[np.int64], favourite: NDArray[np.int64]) -> pa.Table:
    """One to three lines of each order, four of five with the favourite product of whoever placed it."""
    order = np.repeat(np.arange(len(placed)), rng.integers(1, 4, len(placed)))
    other = rng.integers(0, PRODUCTS, len(order))
    return pa.table(
        {
            # an hour before to two hours after its order: some lines precede their parent
            "when": _times(placed[order] + rng.integers(-1, 3, len(order)) * (DAY // 24)),
            "order": order,
            "product": np.where(rng.random(len(order)) < 0.8, favourite[order], other),
            "quantity": pa.array(rng.integers(1, 5, len(order)).astype(np.int32)),
        }
    ).sort_by("when")


def _tickets(rng: np.random.Generator, who: NDArray[np.int64], size: Size) -> pa.Table:
    count = 80
    follows = [None if i % 3 else int(rng.integers(0, count)) for i in range(count)]
    return pa.table(
        {
            "ticket": np.arange(count),
            "opened": _times(np.sort(rng.integers(0, size.days * size.ticks, count)) * (DAY // size.ticks)),
            "customer": rng.choice(who, count),
            "follows": pa.array(follows, pa.int64()),
            "text": pa.array([f"late parcel {i % 4}" if i % 5 else "" for i in range(count)]),
        }
    )


def _times(since: NDArray[np.int64]) -> pa.Array:
    """Times from nanoseconds since the shop's start."""
    return pa.array(since + START.value).cast(pa.timestamp("ns"))
