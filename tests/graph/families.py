"""People who name a leader among themselves and a group: ancestors of any depth, circles among them."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table

ROWS, PARENTS = 8, 3
FRIEND = ("people", "as of")


def family(leader: list[int | None], group: list[int | None]) -> Database:
    """People who name a leader among themselves and a group."""
    columns = {"leader": pa.array(leader, pa.int64()), "group": pa.array(group, pa.int64())}
    references = MappingProxyType({"leader": "people", "group": "groups"})
    people = Table("people", pa.table({"id": np.arange(ROWS), **columns}), key="id", references=references)
    return Database([people, Table("groups", pa.table({"id": np.arange(PARENTS)}), key="id")])


def named(below: int) -> st.SearchStrategy[list[int | None]]:
    one = st.none() | st.integers(0, below - 1)
    return st.lists(one, min_size=ROWS, max_size=ROWS)
