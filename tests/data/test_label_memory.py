"""Remembered labels are those of the very database, SQL and window; they take bounded bytes and keep no database alive."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.label_memory import LabelMemory
from relbench_harness.data.labels import Window, window_labels
from relbench_harness.data.query import CutQueries


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 60))))
def test_it_is_a_dictionary_that_forgets(puts: list[tuple[int, str, int, int]]) -> None:
    databases = [Database([]) for _ in range(3)]
    memory = LabelMemory[int](lambda value: value, most=100)
    known: dict[tuple[int, str, int], int] = {}
    for number, sql, window, value in puts:
        memory.put(databases[number], sql, (window, window), value)
        known[number, sql, window] = value
    for (number, sql, window), value in known.items():
        assert memory.get(databases[number], sql, (window, window)) in (value, None)
    if puts:
        number, sql, window, value = puts[-1]
        assert memory.get(databases[number], sql, (window, window)) == value
    there = [memory.get(databases[n], sql, (w, w)) for n, sql, w in known]
    assert sum(value for value in there if value is not None) <= 100
    assert memory.get(Database([]), "a", (0, 0)) is None


def test_it_keeps_no_database_alive() -> None:
    memory = LabelMemory[int](lambda value: value)
    database = Database([])
    memory.put(database, "a", (0, 1), 7)
    gone = weakref.ref(database)
    del database
    gc.collect()
    assert gone() is None


def test_labels_of_a_window_are_computed_once_for_a_database(
    shop_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, database = shop_dataset.task("churn"), shop_dataset.database
    first, last = database.span
    windows = [Window(int(end - task.horizon.value), int(end)) for end in np.linspace(first, last, 5).astype(np.int64)[1:]]
    ran: list[int] = []
    original = CutQueries.run

    def counted(self: CutQueries, sql: str, t: int, relations: dict[str, pa.Table], what: str) -> pa.Table:
        ran.append(t)
        return original(self, sql, t, relations, what)

    monkeypatch.setattr(CutQueries, "run", counted)
    once = list(window_labels(task, database, windows))
    assert len(ran) == len(windows)
    again = list(window_labels(task, database, [*windows, Window(windows[0].start, windows[1].end)]))
    assert len(ran) == len(windows) + 1
    assert [w for w, _ in again[:-1]] == windows and all(a is b for (_, a), (_, b) in zip(once, again, strict=False))
    # another database of the same rows is another database
    list(window_labels(task, Database(database.values()), windows))
    assert len(ran) == 2 * len(windows) + 1
