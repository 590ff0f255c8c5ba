"""The shop of `shop` as a RelBench 3 folder, with a task of every type and of both kinds that the harness makes labels for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from shop import CHANNELS, SPECS, START, Size, made_shop

from relbench_harness.data.dataset import Dataset, open_dataset

SIZE = Size(customers=40, orders=500, days=130, ticks=24)
VAL, TEST = START + pd.Timedelta(days=80), START + pd.Timedelta(days=100)

WINDOW = """"placed at" > s.timestamp AND o."placed at" <= s.timestamp + INTERVAL '{timedelta}' """
BUYS = f"""FROM timestamps s JOIN "order" o ON o.{WINDOW} WHERE o.customer IS NOT NULL GROUP BY s.timestamp, o.customer"""
ENTITY = {"entity_table": "customer", "entity_col": "customer id", "time_col": "date", "timedelta": "10 days"}

TASKS = {
    "churn": {
        "task_type": "binary_classification",
        "target_col": "churn",
        "num_eval_timestamps": 2,
        "sql": f"""SELECT s.timestamp AS date, c."customer id",
            CAST(COUNT(o.customer) = 0 AS BIGINT) AS churn
            FROM timestamps s CROSS JOIN customer c LEFT JOIN "order" o ON o.customer = c."customer id" AND o.{WINDOW}
            GROUP BY s.timestamp, c."customer id" """,
    },
    "spend": {
        "task_type": "regression",
        "target_col": "spend",
        "num_eval_timestamps": 2,
        "sql": f"""SELECT s.timestamp AS date, o.customer AS "customer id", COALESCE(SUM(o."amount ""now"" paid"), 0) AS spend
            {BUYS}""",
    },
    "channel": {
        "task_type": "multiclass_classification",
        "target_col": "channel",
        "num_eval_timestamps": 2,
        "sql": f"""SELECT s.timestamp AS date, o.customer AS "customer id", MIN(o.channel) AS channel {BUYS}""",
    },
    "channels": {
        "task_type": "multilabel_classification",
        "target_col": "used",
        "num_eval_timestamps": 2,
        "sql": f"""SELECT s.timestamp AS date, o.customer AS "customer id",
            [{", ".join(f"MAX(CAST(o.channel = '{c}' AS INTEGER))" for c in CHANNELS)}] AS used {BUYS}""",
    },
    "basket": {
        "task_type": "recommendation",
        "src_entity_table": "customer",
        "src_entity_col": "customer id",
        "dst_entity_table": "products",
        "dst_entity_col": "product",
        "target_col": "product",
        "eval_k": 4,
        "sql": f"""SELECT s.timestamp AS date, o.customer AS "customer id", LIST(DISTINCT l.product) AS product
            FROM timestamps s JOIN "order" o ON o.{WINDOW} JOIN "order lines" l ON l."order" = o."order"
            WHERE o.customer IS NOT NULL AND l.product IS NOT NULL GROUP BY s.timestamp, o.customer""",
    },
    "amount": {
        "task_type": "regression",
        "kind": "autocomplete",
        "entity_table": "order",
        "target_col": 'amount "now" paid',
    },
    "gift": {"task_type": "binary_classification", "kind": "autocomplete", "entity_table": "order", "target_col": "gift"},
}


def shop_tables(seed: int = 0) -> dict[str, pa.Table]:
    """The tables that `write_shop` writes, as at their source."""
    return dict(made_shop(seed=seed, size=SIZE).tables)


def write_shop(folder: Path, content: dict[str, pa.Table] | None = None) -> Dataset:
    """Writes the shop to `folder` and opens it."""
    (folder / "db").mkdir(parents=True)
    for name, rows in (content or shop_tables()).items():
        pq.write_table(rows, folder / "db" / f"{name}.parquet")
    tables = {name: spec.to_dict() for name, spec in SPECS.items()}
    manifest = {"name": folder.name, "val_timestamp": str(VAL), "test_timestamp": str(TEST), "tables": tables}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    for name, task in TASKS.items():
        shared = {} if "kind" in task else {"kind": "forecast", **ENTITY}
        if task["task_type"] == "recommendation":
            shared = {k: v for k, v in shared.items() if not k.startswith("entity")}
        (folder / "tasks" / name).mkdir(parents=True)
        (folder / "tasks" / name / "manifest.yaml").write_text(yaml.safe_dump({"name": name, **shared, **task}))
    return open_dataset(str(folder))


def write_bare_shop(folder: Path) -> Dataset:
    """The shop with products of nothing but a key, customers without any row, and from the test cut on only unknown channels."""
    content = shop_tables()
    content["products"] = content["products"].select(["product"])
    customers = content["customer"]
    more = customers.slice(0, 5).set_column(0, "customer id", pa.array(np.arange(5) + len(customers)))
    content["customer"] = pa.concat_tables([customers, more])
    orders = content["order"]
    late = np.asarray(orders["placed at"].cast(pa.int64())) >= TEST.value
    channels = np.where(late, "never seen before", np.asarray(orders["channel"]).astype(str))
    content["order"] = orders.set_column(orders.column_names.index("channel"), "channel", pa.array(channels))
    return write_shop(folder, content)
