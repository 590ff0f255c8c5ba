"""Small databases with everything a schema can have: late parents, self references, dangling keys, empty tables."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table

DAY = 86_400 * 10**9


def _table(name: str, rng: np.random.Generator, size: int, timed: bool, references: dict[str, tuple[str, int]]) -> Table:
    columns: dict[str, pa.Array] = {"id": pa.array(np.arange(size))}
    if timed:
        times = np.sort(rng.integers(0, 12, size)) * DAY
        columns["when it was"] = pa.array(times).cast(pa.timestamp("ns"))
    for column, (_, parents) in references.items():
        named = rng.integers(-1, parents, size)
        columns[column] = pa.array([None if p < 0 else int(p) for p in named], pa.int64())
    columns["value"] = pa.array(rng.normal(size=size))
    return Table(
        name,
        pa.table(columns),
        key="id",
        time="when it was" if timed else None,
        references=MappingProxyType({c: p for c, (p, _) in references.items()}),
    )


def random_database(rng: np.random.Generator, users: int, items: int, events: int, notes: int) -> Database:
    """users (static), items (timed), events → users, items, notes → notes, events, and twice users."""
    mentions = {
        "reply to": ("notes", notes),
        "event": ("events", events),
        "by": ("users", users),
        "to": ("users", users),
    }
    return Database(
        [
            _table("users", rng, users, False, {}),
            _table("items", rng, items, True, {}),
            _table("events", rng, events, True, {"user": ("users", users), "item": ("items", items)}),
            _table("notes", rng, notes, True, mentions),
        ]
    )


@st.composite
def databases(draw: st.DrawFn, most: int = 25) -> Database:
    """Random databases, any table of which may be empty."""
    sizes = [draw(st.integers(0, most)) for _ in range(4)]
    return random_database(np.random.default_rng(draw(st.integers(0, 2**32))), *sizes)
