"""A small database in a RelBench 3 folder, for commands that need one on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

CHURN = """SELECT s.timestamp AS date, c.customer,
  CAST(NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.customer AND o.date > s.timestamp
                   AND o.date <= s.timestamp + INTERVAL '{timedelta}') AS BIGINT) AS churn
FROM timestamps s CROSS JOIN customers c"""


@pytest.fixture(scope="session")
def little_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on which `RELBENCH_HARNESS_DATASETS` may point: dataset `little-shop` with task `churn`."""
    home = tmp_path_factory.mktemp("datasets")
    folder = home / "little-shop"
    (folder / "db").mkdir(parents=True)
    random = np.random.default_rng(0)
    days = np.sort(random.integers(0, 300, 400))
    orders = pd.DataFrame(
        {
            "order": np.arange(400),
            "customer": random.integers(0, 25, 400) * random.integers(0, 2, 400),
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
            "amount": random.gamma(2.0, 10.0, 400),
        }
    )
    customers = pd.DataFrame({"customer": np.arange(25), "city": random.choice(["Graz", "Linz"], 25)})
    orders.to_parquet(folder / "db" / "orders.parquet")
    customers.to_parquet(folder / "db" / "customers.parquet")
    manifest = {
        "name": "little-shop",
        "val_timestamp": "2024-08-01",
        "test_timestamp": "2024-09-01",
        "tables": {
            "customers": {"pkey": "customer", "time_col": None, "fkeys": {}},
            "orders": {"pkey": "order", "time_col": "date", "fkeys": {"customer": "customers"}},
        },
    }
    churn = {
        "name": "churn",
        "kind": "forecast",
        "task_type": "binary_classification",
        "entity_table": "customers",
        "entity_col": "customer",
        "target_col": "churn",
        "time_col": "date",
        "timedelta": "20 days",
        "sql": CHURN,
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "tasks" / "churn").mkdir(parents=True)
    (folder / "tasks" / "churn" / "manifest.yaml").write_text(yaml.safe_dump(churn))
    return home


@pytest.fixture
def shop_path(little_shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(little_shop))
    return little_shop
