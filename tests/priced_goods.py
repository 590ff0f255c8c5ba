"""Goods with a list price, some of which are listed late, and users who pay about that price."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow as pa
from made_examples import DAY

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.temporal.paths import ForeignKey

USERS, GOODS, BUYS = 150, 60, 4000
GOODS_KEY = ForeignKey("buys", "good", "goods")
RNG = np.random.default_rng(0)
LISTED = RNG.lognormal(2, 1.5, GOODS)
SINCE = np.sort(np.where(np.arange(GOODS) < 40, 0, RNG.integers(0, 200, GOODS))) * DAY
GOOD, USER = RNG.integers(0, GOODS, BUYS), RNG.integers(0, USERS, BUYS)
AT = np.sort(RNG.integers(1, 200 * DAY, BUYS))
RISE = RNG.normal(0.0, 0.1, BUYS)
PAID = np.where(RNG.random(BUYS) < 0.02, np.nan, LISTED[GOOD] * np.exp(RISE))


def world() -> Database:
    goods = {
        "good": np.arange(GOODS),
        "since": pa.array(SINCE).cast(pa.timestamp("ns")),
        "listed": LISTED,
        "weight": 1 / LISTED,
    }
    buys = {
        "at": pa.array(AT).cast(pa.timestamp("ns")),
        "user": USER,
        "good": GOOD,
        "paid": pa.array(PAID, from_pandas=True),
        "copied": LISTED[GOOD],
        "luck": RNG.normal(size=BUYS),
    }
    return Database(
        [
            Table("users", pa.table({"user": np.arange(USERS)}), key="user"),
            Table("goods", pa.table(goods), key="good", time="since"),
            Table("buys", pa.table(buys), time="at", references=MappingProxyType({"user": "users", "good": "goods"})),
        ]
    )
