"""Small databases and questions about them, made without files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from relbench.manifest import TableSpec

from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.protocol.method import Examples

DAY = 86_400_000_000_000


def a_task(entity: str, kind: Kind = Kind.FORECAST) -> Task:
    return Task(
        dataset="made",
        name="task",
        kind=kind,
        type=TaskType.REGRESSION,
        entity_table=entity,
        entity_col="id",
        target="y",
        time_col="time",
        horizon=pd.Timedelta(days=30),
    )


def ask(
    database: Database, entity: str, rows: object, days: object, fit_day: float = 1e5, kind: Kind = Kind.FORECAST
) -> Examples:
    """Questions about `rows` of table `entity` at `days` since 1970."""
    time = (np.asarray(days, dtype=np.float64) * DAY).astype(np.int64)
    who = np.asarray(rows, dtype=np.int64)
    return Examples(a_task(entity, kind), database, who, time, time.copy(), None, "rolling", int(fit_day * DAY))


def a_database(raw: Mapping[str, pa.Table], specs: Mapping[str, tuple[str | None, str | None, dict[str, str]]]) -> Database:
    """Tables in canonical order; specs: table → (key, time column, foreign keys)."""
    made = {name: TableSpec(pkey=key, time_col=time, fkeys=keys) for name, (key, time, keys) in specs.items()}
    return canonical(raw, made, "made")


@pytest.fixture
def shop() -> Database:
    """Customers (one without orders), orders with equal times, nulls and a late parent, lines of orders."""
    day = pd.Timestamp("1970-01-01")
    return a_database(
        {
            "customers": pa.table({"id": [0, 1, 2], "group": ["a", "b", None], "born": [10, None, 30]}),
            "orders": pa.table(
                {
                    "id": [0, 1, 2, 3, 4],
                    "customer": [0, 0, 1, 0, None],
                    "paid": [1.0, None, 5.0, 3.0, 9.0],
                    "at": [day + pd.Timedelta(days=d) for d in (1, 2, 2, 2, 4)],
                }
            ),
            "lines": pa.table(
                {
                    "order": [0, 0, 1, 3, 2],
                    "amount": [2, 4, 6, 8, 10],
                    # the first line of order 3 is older than the order itself
                    "at": [day + pd.Timedelta(days=d) for d in (1, 1, 3, 1, 2)],
                }
            ),
        },
        {
            "customers": ("id", None, {}),
            "orders": ("id", "at", {"customer": "customers"}),
            "lines": (None, "at", {"order": "orders"}),
        },
    )


@pytest.fixture(scope="session")
def questions() -> Callable[..., Examples]:
    return ask


@pytest.fixture(scope="session")
def database_of() -> Callable[..., Database]:
    return a_database
