"""The graph holds every foreign key in both directions, in memory and on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from random_databases import DAY, databases, random_database

from relbench_harness.data import array_store as store
from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph
from relbench_harness.temporal.children import by_parent


@settings(max_examples=40, deadline=None)
@given(databases())
def test_both_directions(database: Database) -> None:
    graph = Graph.from_database(database)
    assert graph.parents.dtype == graph.children.dtype == np.int32
    assert len(graph.steps) == 2 * sum(len(t.references) for t in database.values())
    for child, table in database.items():
        for column, parent in table.references.items():
            named = table.parents(column)
            assert (graph.parent_of(child, column) == named).all()
            starts, rows = graph.children_of(child, column)
            assert len(starts) == len(database[parent]) + 1
            for p in range(len(database[parent])):
                assert rows[starts[p] : starts[p + 1]].tolist() == np.flatnonzero(named == p).tolist()
        times, own = graph.table_times(child), table.times
        assert (times is None) == (own is None)
        assert times is None or own is None or (times == own).all()
        cutoffs = np.array([-DAY, 0, 3 * DAY, 100 * DAY])
        assert (graph.visible(child, cutoffs) == table.visible(cutoffs)).all()


def test_stored_mapped_and_mended(tmp_path: Path) -> None:
    database, folder = random_database(np.random.default_rng(0), 20, 20, 60, 40), tmp_path / "graph"
    fresh = Graph.from_database(database)
    examples = "users", np.arange(5), np.full(5, 9 * DAY)
    expected = Sampler(fresh, [3, 3, 3]).sample(*examples)

    def check() -> None:
        graph = Graph.stored(database, folder)
        assert isinstance(graph.children, np.memmap)
        found = Sampler(graph, [3, 3, 3]).sample(*examples)
        assert all((found.nodes[n].row == expected.nodes[n].row).all() for n in fresh.sizes)
        assert all((a.target == b.target).all() for a, b in zip(found.edges, expected.edges, strict=True))

    check()
    written = (folder / "children").stat().st_mtime_ns
    check()
    assert (folder / "children").stat().st_mtime_ns == written, "a whole store is not built again"
    content = (folder / "children").read_bytes()
    (folder / "children").write_bytes(content[:-4])
    check()
    (folder / "children").write_bytes(content[:8] + bytes([content[8] ^ 1]) + content[9:])
    check()
    (folder / "times").unlink()
    check()
    (folder / "index.json").unlink()
    check()
    other = database.upto(4 * DAY)
    assert Graph.stored(other, folder).sizes == {name: len(t) for name, t in other.items()}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.writing(tmp_path / "x", "id") as draft:
        draft.array("a", np.int32, (10,))[:] = 1
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert store.opened(tmp_path / "x", "id") is None


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(store, "LARGE", 16)
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="No space left"):
        Graph.stored(random_database(np.random.default_rng(0), 20, 20, 60, 40), tmp_path / "graph")
    with pytest.raises(OSError, match="No space left"):
        store.spacious((100,), np.int64)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_large_arrays_lie_in_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE", 1 << 12)
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    for count in (10, 10_000):
        array = store.spacious((count, 2), np.float32)
        assert type(array) is np.ndarray and not array.any()
        assert (str(tmp_path) in Path("/proc/self/maps").read_text()) == (count > 10)
        array += 1
        assert array.sum() == 2 * count
    assert list((tmp_path / "cache").iterdir()) == []


def test_rows_are_grouped_by_the_parent_they_name() -> None:
    start, rows = by_parent(np.array([2, -1, 0, 2, 2, -1]), 4)
    assert start.tolist() == [0, 1, 1, 4, 4] and rows.tolist() == [2, 0, 3, 4]
    assert by_parent(np.empty(0, np.int64), 1)[0].tolist() == [0, 0]


def test_empty_arrays_are_kept(tmp_path: Path) -> None:
    with store.writing(tmp_path / "x", "id") as draft:
        draft.array("none", np.int32, (0, 3))
        draft.array("some", np.float32, (2, 2))[:] = 5
    arrays = store.opened(tmp_path / "x", "id")
    assert arrays is not None
    assert arrays["none"].shape == (0, 3) and (arrays["some"] == 5).all()
    assert store.opened(tmp_path / "x", "other") is None


def test_an_unknown_table() -> None:
    with pytest.raises(InputError, match="no table 'nope'"):
        Graph.from_database(Database([])).table_times("nope")
