"""A small shop made by hand, written as a RelBench 3 folder: every task type, odd names, odd columns, late parents.

Names hold spaces, quotes and SQL keywords; columns are of every kind, one of them all null; a table is empty, one refers
to itself, some keys dangle, some rows share an instant, and some stand exactly at a cut.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from relbench_harness.data.dataset import Dataset, open_dataset

START = pd.Timestamp("2021-01-01")
DAYS = 130
VAL, TEST = START + pd.Timedelta(days=80), START + pd.Timedelta(days=100)
CHANNELS = ("shop", "web", "phone")

SPECS = {
    "customer": {"pkey": "customer id", "time_col": None, "fkeys": {}},
    "products": {"pkey": "product", "time_col": None, "fkeys": {}},
    "order": {"pkey": "order", "time_col": "placed at", "fkeys": {"customer": "customer"}},
    "order lines": {"pkey": None, "time_col": "when", "fkeys": {"order": "order", "product": "products"}},
    "tickets": {
        "pkey": "ticket",
        "time_col": "opened",
        "fkeys": {"customer": "customer", "follows": "tickets"},
    },
    "visits": {"pkey": None, "time_col": "at", "fkeys": {"customer": "customer"}},
}

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
FORECASTS = tuple(name for name, task in TASKS.items() if "kind" not in task)


def tables(seed: int = 0, customers: int = 40, orders: int = 500) -> dict[str, pa.Table]:
    """The shop's tables; what customers do depends on who they are, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 3, customers)
    eager = rng.gamma(1.5, size=customers)
    who = rng.choice(customers, orders, p=eager / eager.sum())
    placed = np.sort(rng.integers(0, DAYS * 24, orders))
    # a few orders at the very instants of examples
    placed[rng.integers(0, orders, 12)] = rng.choice([60, 70, 80, 90, 100, 110], 12) * 24
    placed = np.sort(placed)
    amount = np.round(20 * eager[who] + 10 * taste[who] + rng.normal(0, 3, orders), 2)
    channel = np.where(rng.random(orders) < 0.7, taste[who], rng.integers(0, 3, orders))
    lines = np.repeat(np.arange(orders), rng.integers(1, 4, orders))
    return {
        "customer": pa.table(
            {
                "customer id": np.arange(customers),
                "age": pa.array([None if i % 7 == 0 else float(20 + taste[i] * 15 + i % 5) for i in range(customers)]),
                "region": pa.array([None if i % 11 == 0 else f"r{taste[i]}" for i in range(customers)]),
                "vip": pa.array((eager > 1.5).tolist()),
                "born": pa.array([date(1950, 1, 1) + timedelta(days=int(400 * i)) for i in range(customers)]),
                "select": pa.array([None] * customers, pa.string()),
                "limit": pa.array([Decimal(int(10 * e)) / 10 for e in eager], pa.decimal128(8, 2)),
                "tags": pa.array([["a"] * int(t) for t in taste], pa.list_(pa.string())),
            }
        ),
        "products": pa.table({"product": np.arange(12), 'unit "price"': np.linspace(1, 30, 12)}),
        "order": pa.table(
            {
                "order": np.arange(orders),
                "placed at": _times(placed),
                "customer": pa.array([None if i % 29 == 0 else int(c) for i, c in enumerate(who)], pa.int64()),
                "channel": pa.array([CHANNELS[c] for c in channel]),
                'amount "now" paid': pa.array([None if i % 13 == 0 else float(a) for i, a in enumerate(amount)]),
                "gift": pa.array((amount + rng.normal(0, 5, orders) > np.median(amount)).astype(np.int64)),
            }
        ),
        "order lines": pa.table(
            {
                # an hour before to two hours after its order: some lines precede their parent
                "when": _times(placed[lines] + rng.integers(-1, 3, len(lines))),
                "order": lines,
                "product": (taste[who[lines]] * 4 + rng.integers(0, 5, len(lines))) % 12,
                "quantity": pa.array(rng.integers(1, 5, len(lines)).astype(np.int32)),
            }
        ).sort_by("when"),
        "tickets": _tickets(rng, who),
        "visits": pa.table(
            {"at": _times(np.zeros(0, np.int64)), "customer": pa.array([], pa.int64()), "page": pa.array([], pa.string())}
        ),
    }


def _times(hours: np.ndarray) -> pa.Array:  # type: ignore[type-arg]
    return pa.array(hours.astype(np.int64) * 3_600_000_000_000 + START.value).cast(pa.timestamp("ns"))


def _tickets(rng: np.random.Generator, who: np.ndarray) -> pa.Table:  # type: ignore[type-arg]
    count = 80
    follows = [None if i % 3 else int(rng.integers(0, count)) for i in range(count)]
    return pa.table(
        {
            "ticket": np.arange(count),
            "opened": _times(np.sort(rng.integers(0, DAYS * 24, count))),
            "customer": rng.choice(who, count),
            "follows": pa.array(follows, pa.int64()),
            "text": pa.array([f"late parcel {i % 4}" if i % 5 else "" for i in range(count)]),
        }
    )


def write_shop(folder: Path, content: dict[str, pa.Table] | None = None) -> Dataset:
    """Writes the shop to `folder` and opens it."""
    (folder / "db").mkdir(parents=True)
    for name, rows in (content or tables()).items():
        pq.write_table(rows, folder / "db" / f"{name}.parquet")
    manifest = {"name": folder.name, "val_timestamp": str(VAL), "test_timestamp": str(TEST), "tables": SPECS}
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
    content = tables()
    content["products"] = content["products"].select(["product"])
    customers = content["customer"]
    more = customers.slice(0, 5).set_column(0, "customer id", pa.array(np.arange(5) + len(customers)))
    content["customer"] = pa.concat_tables([customers, more])
    orders = content["order"]
    late = np.asarray(orders["placed at"].cast(pa.int64())) >= TEST.value
    channels = np.where(late, "never seen before", np.asarray(orders["channel"]).astype(str))
    content["order"] = orders.set_column(orders.column_names.index("channel"), "channel", pa.array(channels))
    return write_shop(folder, content)
