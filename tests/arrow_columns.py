"""Columns of every Arrow type that a parquet file can bring, for tests that must take all of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa


def _columns() -> dict[str, pa.Array]:
    """Columns of every Arrow type that a parquet file can bring, nulls among them."""

    def holes(values: list[Any]) -> list[Any]:
        return [None if i % 5 == 0 else v for i, v in enumerate(values)]

    def many(make: Callable[[int], Any]) -> list[Any]:
        return holes([make(i) for i in range(60)])

    day = datetime.date(2000, 1, 1)
    return {
        "uint64": pa.array(many(lambda i: 2**63 + i), pa.uint64()),
        "float16": pa.array(np.arange(60).astype(np.float16)),
        "decimal": pa.array(many(lambda i: Decimal(i) / 8)),
        "date32": pa.array(many(lambda i: day + datetime.timedelta(i))),
        "date64": pa.array(many(lambda i: day + datetime.timedelta(i)), pa.date64()),
        "time32": pa.array(many(lambda i: datetime.time(i % 24)), pa.time32("s")),
        "time64": pa.array(many(lambda i: datetime.time(i % 24)), pa.time64("ns")),
        "duration": pa.array(many(lambda i: datetime.timedelta(hours=i))),
        "zoned": pa.array(many(lambda i: datetime.datetime(2000 + i, 1, 1)), pa.timestamp("us", tz="Europe/Paris")),
        "interval": pa.array([(1, 2, 3)] * 60, pa.month_day_nano_interval()),
        "binary": pa.array([b"x"] * 60),
        "null": pa.nulls(60),
        "flag": pa.array(many(lambda i: i % 2 == 0)),
        "coded": pa.array(many(lambda i: "abc"[i % 3])).dictionary_encode(),
        "struct": pa.array([{"a": 1}] * 60),
        "map": pa.array([[("a", 1)]] * 60, pa.map_(pa.string(), pa.int64())),
        "integers": pa.array(many(lambda i: list(range(i % 4)))),
        "texts": pa.array(many(lambda i: ["a", "b", None][: i % 4]), pa.large_list(pa.string())),
        "uneven": pa.array(many(lambda i: [1.0] * (i % 4))),
        "fixed": pa.array(many(lambda i: [float(i), 2.0]), pa.list_(pa.float32(), 2)),
        "nested": pa.array([[[1.0]]] * 60),
        "view": pa.array(many(lambda i: f"ü {i}"), pa.string_view()),
        "nan": pa.array([float("nan")] * 60),
        "infinite": pa.array([float("inf"), 1.0, 2.0] * 20),
    }


COLUMNS = _columns()
