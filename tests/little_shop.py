"""A little shop for trials: its rows, its tables, queries about it; written into an SQLite file here."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

CHURN = "PREDICT COUNT(orders.*, 0, 20, days) = 0 FOR EACH customers.customer WHERE COUNT(orders.*, -100, 0, days) > 0"
SPEND = "PREDICT SUM(orders.amount, 0, 20, days) FOR EACH customers.customer"
BASKET = "PREDICT LIST_DISTINCT(orders.product, 0, 20, days) RANK TOP 3 FOR EACH customers.customer"
QUICK = ("constant", "label_history", "lightgbm_simple")
EVIL = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}|**b**`"


class Rows(NamedTuple):
    """The rows of the shop's tables, parents first."""

    customers: list[tuple[int, str]]
    products: list[tuple[int, str]]
    orders: list[tuple[int, int, int, str, float]]


def rows() -> Rows:
    """80 customers who buy at rates of their own, mostly a favourite product, over 300 days."""
    rng = np.random.default_rng(0)
    rate = rng.uniform(0.005, 0.12, 80)
    favourite = rng.integers(0, 12, 80)
    days = np.sort(rng.uniform(0, 300, 1500))
    who = rng.choice(80, 1500, p=rate / rate.sum())
    what = np.where(rng.uniform(size=1500) < 0.6, favourite[who], rng.integers(0, 12, 1500))
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta((days * 24).astype(int), unit="h")
    orders = [
        (n, int(who[n]), int(what[n]), str(stamps[n]), round(float(5 + 40 * rate[who[n]] + rng.gamma(2, 3)), 2))
        for n in range(1500)
    ]
    customers = [(n, "Graz" if rate[n] > 0.05 else EVIL) for n in range(80)]
    return Rows(customers, [(n, f"thing {n} {EVIL}") for n in range(12)], orders)


TABLES = (
    "CREATE TABLE customers (customer INTEGER PRIMARY KEY, city TEXT)",
    "CREATE TABLE products (product INTEGER PRIMARY KEY, name TEXT)",
    'CREATE TABLE orders ("order" INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (customer), '
    "product INTEGER REFERENCES products (product), placed {time}, amount DOUBLE PRECISION)",
)


def write_sqlite(path: Path) -> str:
    """The shop as an SQLite file; returns its URI."""
    connection = sqlite3.connect(path)
    for statement in TABLES:
        connection.execute(statement.format(time="DATETIME"))
    for name, values in rows()._asdict().items():
        marks = ", ".join("?" * len(values[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"
