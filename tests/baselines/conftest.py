"""A made shop whose future follows its past, and questions of every type about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from relbench.manifest import TableSpec

from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.protocol.method import Examples, Ragged

DAY = 86_400_000_000_000
CUSTOMERS, PRODUCTS, DAYS = 60, 12, 300


@dataclass(frozen=True)
class Shop:
    """Customers who buy at a steady rate, each mostly one or two products of his own."""

    database: Database
    rate: NDArray[np.float64]
    favourite: NDArray[np.int64]

    def examples(
        self, kind: TaskType, days: tuple[int, ...], fit_day: int, gap: int = 0, constant: bool = False
    ) -> Examples:
        """A question about every customer on each of `days`, seeing rows up to `gap` days before it."""
        entity = np.tile(np.arange(CUSTOMERS), len(days))
        time = np.repeat(np.asarray(days) * DAY, CUSTOMERS)
        examples = Examples(
            task=self.task(kind),
            database=self.database,
            entity=entity,
            time=time,
            cutoff=time - gap * DAY,
            labels=None,
            regime="frozen" if gap else "rolling",
            fit_end=fit_day * DAY,
            classes=("low", "middle", "high") if kind is TaskType.MULTICLASS else (),
            width=2 if kind is TaskType.MULTILABEL else 0,
        )
        object.__setattr__(examples, "labels", self._labels(kind, entity, time, constant))
        return examples

    def _labels(
        self, kind: TaskType, entity: NDArray[np.int64], time: NDArray[np.int64], constant: bool
    ) -> NDArray[np.float64] | NDArray[np.int64] | Ragged:
        noise = np.random.default_rng(int(time[0] // DAY)).normal(0, 0.05, len(entity))
        level = np.zeros(len(entity)) if constant else self.rate[entity] + noise
        if kind is TaskType.BINARY:
            return (level > 0.5).astype(np.float64)
        if kind is TaskType.MULTICLASS:
            return np.digitize(level, [0.33, 0.66]).astype(np.int64)
        if kind is TaskType.MULTILABEL:
            return np.stack([level > 0.3, level > 0.7], axis=1).astype(np.float64)
        if kind is TaskType.RECOMMENDATION:
            return Ragged(np.arange(len(entity) + 1, dtype=np.int64), self.favourite[entity])
        return 10 * level

    @staticmethod
    def task(kind: TaskType) -> Task:
        recommends = kind is TaskType.RECOMMENDATION
        return Task(
            dataset="made",
            name="task",
            kind=Kind.FORECAST,
            type=kind,
            entity_table="customers",
            entity_col="id",
            target="y",
            time_col="time",
            horizon=pd.Timedelta(days=20),
            item_table="products" if recommends else None,
            item_col="id" if recommends else None,
            eval_k=3 if recommends else None,
        )


@pytest.fixture(scope="session")
def shop() -> Shop:
    random = np.random.default_rng(3)
    rate, favourite = random.uniform(0, 1, CUSTOMERS), random.integers(0, PRODUCTS, CUSTOMERS)
    day, customer = np.nonzero(random.uniform(size=(DAYS, CUSTOMERS)) < rate * 0.3)
    bought = np.where(random.uniform(size=len(day)) < 0.7, favourite[customer], random.integers(0, PRODUCTS, len(day)))
    tables = {
        "customers": pa.table({"id": np.arange(CUSTOMERS), "city": random.choice(["a", "b", "c"], CUSTOMERS)}),
        "products": pa.table({"id": np.arange(PRODUCTS), "weight": random.uniform(size=PRODUCTS)}),
        "orders": pa.table(
            {
                "customer": customer,
                "product": bought,
                "amount": rate[customer] * 5 + random.normal(0, 1, len(day)),
                "at": pa.array(day * DAY + 1).cast(pa.timestamp("ns")),
            }
        ),
    }
    specs = {
        "customers": TableSpec(pkey="id"),
        "products": TableSpec(pkey="id"),
        "orders": TableSpec(time_col="at", fkeys={"customer": "customers", "product": "products"}),
    }
    return Shop(canonical(tables, specs, "made"), rate, favourite)
