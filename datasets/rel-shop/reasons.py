"""Which rows caused a label, found again in the visible rows alone: the oracle that is told the causes.

Each cause is one SQL statement over the database and `q(question, entity, time)`; it yields the rows at work. The effect
of a cause on a question is an addition to the log-odds of coming, and equals what the simulation used, which a test checks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.labels import run_sql

from . import settings as s

DAYS = s.EPOCH_DAYS

RUDE = f"""
FROM q JOIN visits v ON v.customer_id = q.entity AND v.time < q.time AND v.time >= q.time - INTERVAL {DAYS} DAY
JOIN shifts h ON h.store_id = v.store_id AND h.starts <= v.time AND v.time < h.ends
JOIN employees e ON e.employee_id = h.employee_id AND e.courtesy = 1
"""
STAIN = f"""
FROM q JOIN transactions x ON x.customer_id = q.entity AND x.time < q.time AND x.time >= q.time - INTERVAL {2 * DAYS} DAY
JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < q.time
JOIN products p ON p.product_id = l.product_id AND p.colour = 'dark blue'
JOIN lines l2 ON l2.product_id = p.product_id AND l2.time < q.time
JOIN returns r ON r.line_id = l2.line_id AND r.reason = 'stains' AND r.time < q.time
"""
NIGHT = f"""
FROM q JOIN transactions x ON x.customer_id = q.entity AND x.time < q.time AND x.time >= q.time - INTERVAL {2 * DAYS} DAY
AND x.amount < {s.SMALL} AND (HOUR(x.time) >= {s.CLOSES} OR HOUR(x.time) < 6)
"""
RISES = f"""
WITH stamps AS (SELECT DISTINCT time AS asked FROM q),
rise AS (
    SELECT t.asked, l.line_id, x.customer_id, p.category_name AS category, LN(l.price / p.list_price) AS rise
    FROM stamps t JOIN lines l ON l.time < t.asked AND l.time >= t.asked - INTERVAL {DAYS} DAY
    JOIN products p ON p.product_id = l.product_id JOIN transactions x ON x.transaction_id = l.transaction_id
),
comparable AS (SELECT asked, category, AVG(rise) AS rise FROM rise GROUP BY asked, category)
SELECT q.question, r.line_id AS line_id, r.rise - c.rise AS excess
FROM q JOIN rise r ON r.asked = q.time AND r.customer_id = q.entity
JOIN comparable c ON c.asked = r.asked AND c.category = r.category
"""
LAST = """
SELECT q.question, MAX_BY(x.transaction_id, x.time) AS transaction_id, MAX(x.time) AS time
FROM q JOIN transactions x ON x.customer_id = q.entity AND x.time < q.time GROUP BY q.question
"""
LAST_BASKET = f"""
WITH latest AS ({LAST})
SELECT k.question, x.transaction_id, ANY_VALUE(x.payment = 'card') AS card, BOOL_OR(p.own_label) AS own,
       ARG_MIN(l.line_id, l.position) FILTER (p.own_label) AS line_id
FROM latest k JOIN q ON q.question = k.question JOIN transactions x ON x.transaction_id = k.transaction_id
JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < q.time JOIN products p ON p.product_id = l.product_id
GROUP BY k.question, x.transaction_id
"""
FAVOURITES = f"""
SELECT q.question, l.line_id FROM q JOIN transactions x ON x.customer_id = q.entity AND x.time < q.time
JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < q.time
QUALIFY ROW_NUMBER() OVER (PARTITION BY q.question ORDER BY l.time DESC, l.position DESC) <= {s.REMEMBERED}
"""
RINGS = f"""
SELECT DISTINCT q.question, r.return_id, o.customer_id
FROM q JOIN customers c ON c.customer_id = q.entity
JOIN customers o ON (o.address_id = c.address_id OR o.device_id = c.device_id) AND o.customer_id <> c.customer_id
JOIN transactions x ON x.customer_id = o.customer_id
JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < q.time
JOIN returns r ON r.line_id = l.line_id AND r.reason = 'fraud' AND r.time < q.time
     AND r.time >= q.time - INTERVAL {s.FRAUD_EPOCHS * DAYS} DAY
"""
SIBLINGS = """
SELECT q.question, o.product_id FROM q JOIN products p ON p.product_id = q.entity
JOIN products o ON o.brand_id = p.brand_id AND o.launched < q.time AND o.product_id <> p.product_id
"""
OWN = "SELECT q.question, x.{key} FROM q JOIN {table} x ON x.customer_id = q.entity AND x.time < q.time"
STORE = "SELECT q.question, c.store_id FROM q JOIN customers c ON c.customer_id = q.entity"

COMING: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "rude": (
        f"SELECT q.question, v.visit_id, h.shift_id, e.employee_id {RUDE}",
        {"visit_id": "visits", "shift_id": "shifts", "employee_id": "employees"},
    ),
    "stain": (
        "SELECT q.question, l.line_id, p.product_id, MIN(r.return_id) AS return_id "
        f"{STAIN} GROUP BY q.question, l.line_id, p.product_id",
        {"line_id": "lines", "product_id": "products", "return_id": "returns"},
    ),
    "night": (f"SELECT q.question, x.transaction_id {NIGHT}", {"transaction_id": "transactions"}),
    "price": (RISES, {"line_id": "lines"}),
    "recency": (LAST, {"transaction_id": "transactions"}),
    "interaction": (LAST_BASKET, {"transaction_id": "transactions", "line_id": "lines"}),
    "loyalty": (OWN.format(key="visit_id", table="visits"), {"visit_id": "visits"}),
    "store": (STORE, {"store_id": "stores"}),
}
BUYING: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "appetite": (OWN.format(key="transaction_id", table="transactions"), {"transaction_id": "transactions"}),
    "taste": (
        "SELECT q.question, l.line_id FROM q JOIN transactions x ON x.customer_id = q.entity AND x.time < q.time "
        "JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < q.time",
        {"line_id": "lines"},
    ),
    "repeat": (FAVOURITES, {"line_id": "lines"}),
}
BY_TASK: Mapping[str, Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "customer-churn": COMING,
    "customer-spend": {**COMING, **BUYING},
    "customer-products": BUYING,
    "customer-fraud": {"rings": (RINGS, {"return_id": "returns", "customer_id": "customers"})},
    "product-category": {
        "brand": (SIBLINGS, {"product_id": "products"}),
        "look": ("SELECT question, entity AS product_id FROM q", {"product_id": "products"}),
    },
}


def questions(entity: NDArray[np.int64], time: NDArray[np.int64]) -> pa.Table:
    """The relation `q`."""
    at = pa.array(np.asarray(time, dtype=np.int64)).cast(pa.timestamp("ns"))
    return pa.table({"question": np.arange(len(entity)), "entity": entity, "time": at})


def causing_rows(
    database: Database, task: str, entity: NDArray[np.int64], time: NDArray[np.int64], causes: frozenset[str]
) -> pa.Table:
    """(question, cause, table, row): every visible row that a cause of the question's label rests on."""
    tables = {**{name: table.rows for name, table in database.items()}, "q": questions(entity, time)}
    parts = []
    for cause, (sql, places) in BY_TASK[task].items():
        if cause not in causes:
            continue
        found = run_sql(sql, tables, f"rel-shop: cause {cause!r}")
        for column, table in places.items():
            rows = found.select(["question", column]).rename_columns(["question", "row"]).drop_null()
            count = rows.num_rows
            rows = rows.add_column(1, "cause", pa.array([cause] * count, pa.string()))
            parts.append(rows.add_column(2, "table", pa.array([table] * count, pa.string())))
    if not parts:
        return pa.table({"question": [], "cause": [], "table": [], "row": []})
    together = pa.concat_tables(parts).group_by(["question", "cause", "table", "row"]).aggregate([])
    return together.sort_by([(name, "ascending") for name in ("question", "cause", "table", "row")])


def effects(
    database: Database, entity: NDArray[np.int64], time: NDArray[np.int64], causes: frozenset[str]
) -> dict[str, NDArray[np.float64]]:
    """Cause → (n,) addition to the log-odds of coming, from visible rows alone."""
    tables = {**{name: table.rows for name, table in database.items()}, "q": questions(entity, time)}
    n, strength = len(entity), s.STRENGTH

    def found(cause: str) -> tuple[NDArray[np.int64], pa.Table]:
        rows = run_sql(COMING[cause][0], tables, f"rel-shop: cause {cause!r}")
        return np.asarray(rows["question"]), rows

    effect: dict[str, NDArray[np.float64]] = {}
    for cause in ("rude", "stain"):
        if cause in causes:
            effect[cause] = getattr(strength, cause) * (np.bincount(found(cause)[0], minlength=n) > 0)
    if "night" in causes:
        early = (time < s.instant(s.DRIFT_EPOCH)) & ("drift" in causes)
        weight = np.where(early, strength.night_before_drift, strength.night)
        effect["night"] = weight * np.minimum(np.bincount(found("night")[0], minlength=n), s.NIGHT_MOST) / s.NIGHT_MOST
    if "price" in causes:
        question, rows = found("price")
        total = np.bincount(question, weights=np.asarray(rows["excess"]), minlength=n)
        mean = total / np.maximum(np.bincount(question, minlength=n), 1)
        effect["price"] = strength.price * np.clip(mean / s.PRICE_UNIT, 0, 2)
    if "recency" in causes:
        question, rows = found("recency")
        since = np.asarray(database["customers"].times)[entity].copy()
        since[question] = np.maximum(since[question], np.asarray(rows["time"].cast(pa.int64())))
        effect["recency"] = strength.recency * -np.expm1(-(time - since) / s.DAY / s.RECENCY_DAYS)
    if "interaction" in causes:
        question, rows = found("interaction")
        signs = np.where(np.asarray(rows["card"]) == np.asarray(rows["own"]), 1.0, -1.0)
        effect["interaction"] = np.zeros(n)
        effect["interaction"][question] = strength.interaction * signs
    return effect
