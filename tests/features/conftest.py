"""Tables small enough to compute features of them by hand: the numbers that tests of features expect are counted from these rows."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from made_examples import made_database

from relbench_harness.data.database import Database


@pytest.fixture
def shop() -> Database:
    """Customers (one without orders), orders with equal times, nulls and a late parent, lines of orders."""
    day = pd.Timestamp("1970-01-01")
    return made_database(
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
