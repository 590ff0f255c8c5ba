"""The graph holds every foreign key in both directions, in memory and on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph import store
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph

sys.path.insert(0, str(Path(__file__).parent))
from random_databases import DAY, databases, random_database


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
    asked = "users", np.arange(5), np.full(5, 9 * DAY)
    expected = Sampler(fresh, [3, 3, 3]).sample(*asked)

    def check() -> None:
        graph = Graph.stored(database, folder)
        assert isinstance(graph.children, np.memmap)
        found = Sampler(graph, [3, 3, 3]).sample(*asked)
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
