"""The sampler against a brute-force oracle, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from random_databases import DAY, databases
from scipy.stats import chisquare

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph.neighbourhood import Neighbourhood, Nodes
from relbench_harness.graph.sampler import ALL, STRATEGIES, Sampler
from relbench_harness.graph.structure import Graph

TABLES = ["users", "items", "events", "notes"]


@st.composite
def examples(draw: st.DrawFn) -> tuple[Database, str, np.ndarray, np.ndarray]:
    database = draw(databases())
    table = draw(st.sampled_from(TABLES))
    size = len(database[table])
    count = draw(st.integers(0, 12)) if size else 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = rng.integers(0, max(size, 1), count)
    cutoffs = rng.integers(-1, 14, count) * DAY
    if draw(st.booleans()) and count:
        cutoffs[:] = cutoffs[0]
    return database, table, rows, cutoffs


def layers_of(found: Neighbourhood) -> list[set[tuple[str, int, int]]]:
    hops = len(next(iter(found.nodes.values())).hop_ends)
    result: list[set[tuple[str, int, int]]] = []
    for hop in range(hops):
        layer = set()
        for table, nodes in found.nodes.items():
            first = nodes.hop_ends[hop - 1] if hop else 0
            for at in range(first, nodes.hop_ends[hop]):
                layer.add((table, int(nodes.row[at]), int(found.cutoffs[nodes.cut[at]])))
        result.append(layer)
    return result


def links_of(found: Neighbourhood) -> list[dict[Any, Any]]:
    result: list[dict[Any, Any]] = [{} for _ in range(max((e.hop for e in found.edges), default=0))]

    def node(table: str, at: int) -> tuple[str, int, int]:
        nodes = found.nodes[table]
        return table, int(nodes.row[at]), int(found.cutoffs[nodes.cut[at]])

    for edges in found.edges:
        for i in range(len(edges.ends) - 1):
            targets = [node(edges.step.target, int(t)) for t in edges.target[edges.ends[i] : edges.ends[i + 1]]]
            result[edges.hop - 1][edges.step, node(edges.step.source, edges.first + i)] = targets
    return result


@settings(max_examples=150, deadline=None)
@given(
    examples(),
    st.sampled_from(STRATEGIES),
    st.lists(st.sampled_from([ALL, 0, 1, 2, 5]), min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 2**40),
    st.sampled_from([1, 2, 8]),
)
def test_equals_oracle(
    drawn: tuple[Database, str, np.ndarray, np.ndarray],
    strategy: Any,
    num_neighbors: list[int],
    own_parents: bool,
    seed: int,
    threads: int,
) -> None:
    database, table, rows, cutoffs = drawn
    graph = Graph.from_database(database)
    sampler = Sampler(graph, num_neighbors, strategy, own_parents, seed, threads, half_life_days=2.0)
    found = sampler.sample(table, rows, cutoffs)
    oracle = Oracle(database, strategy, own_parents, seed, 2.0)
    nodes = [(table, int(r), int(c)) for r, c in zip(rows, cutoffs, strict=True)]
    layers, links = oracle.sample(nodes, [dict.fromkeys(graph.steps, most) for most in num_neighbors])
    assert layers_of(found) == layers
    assert links_of(found) == links
    own = found.nodes[table]
    assert [(table, int(own.row[s]), int(found.cutoffs[own.cut[s]])) for s in found.seeds] == nodes
    assert found.node_count == sum(map(len, layers))


@settings(max_examples=30, deadline=None)
@given(examples(), st.sampled_from(STRATEGIES))
def test_fan_outs_by_edge_type(drawn: tuple[Database, str, np.ndarray, np.ndarray], strategy: Any) -> None:
    database, table, rows, cutoffs = drawn
    graph = Graph.from_database(database)
    num_neighbors = [{s: i % 3 - 1 for i, s in enumerate(graph.steps)}, {s.type: 2 for s in graph.steps if s.up}]
    found = Sampler(graph, num_neighbors, strategy).sample(table, rows, cutoffs)
    nodes = [(table, int(r), int(c)) for r, c in zip(rows, cutoffs, strict=True)]
    full = [{s: i % 3 - 1 for i, s in enumerate(graph.steps)}, {s: 2 if s.up else 0 for s in graph.steps}]
    layers, links = Oracle(database, strategy, False, 0, 365.0).sample(nodes, full)
    assert layers_of(found) == layers
    assert links_of(found) == links


@settings(max_examples=40, deadline=None)
@given(examples(), st.sampled_from(STRATEGIES), st.integers(0, 2**40))
def test_nothing_at_or_after_the_cutoff(
    drawn: tuple[Database, str, np.ndarray, np.ndarray], strategy: Any, seed: int
) -> None:
    database, table, rows, cutoffs = drawn
    found = Sampler(Graph.from_database(database), [3, 3, 3], strategy, seed=seed).sample(table, rows, cutoffs)
    for name, nodes in found.nodes.items():
        times = database[name].times
        if times is not None:
            later = nodes.hop_ends[0]
            assert (times[nodes.row[later:]] < found.cutoffs[nodes.cut[later:]]).all()
            age = found.age(name)
            assert age is not None and (age[later:] > 0).all()


def test_uniform_choices_are_uniform() -> None:
    database = _star(30)
    graph = Graph.from_database(database)
    counts = np.zeros(30)
    for seed in range(6000):
        found = Sampler(graph, [5], "uniform", seed=seed).sample("users", np.array([0]), np.array([100 * DAY]))
        counts[found.nodes["events"].row] += 1
    # draws without replacement vary less than independent ones, by (n − k) / (n − 1)
    statistic = chisquare(counts).statistic / ((30 - 5) / 29)
    assert 8 < statistic < 62


def test_pairs_of_uniform_choices_are_uniform() -> None:
    graph = Graph.from_database(_star(6))
    pairs: dict[tuple[int, ...], int] = {}
    for seed in range(6000):
        found = Sampler(graph, [2], "uniform", seed=seed).sample("users", np.array([0]), np.array([100 * DAY]))
        pair = tuple(sorted(found.nodes["events"].row.tolist()))
        pairs[pair] = pairs.get(pair, 0) + 1
    assert len(pairs) == 15
    assert chisquare(list(pairs.values())).pvalue > 1e-4


def test_decayed_weights_halve_with_the_half_life() -> None:
    graph = Graph.from_database(_star(12))
    counts = np.zeros(12)
    for seed in range(8000):
        sampler = Sampler(graph, [1], "decayed", seed=seed, half_life_days=1.0)
        counts[sampler.sample("users", np.array([0]), np.array([12 * DAY])).nodes["events"].row] += 1
    expected = 2.0 ** np.arange(12)
    assert chisquare(counts[4:], expected[4:] / expected[4:].sum() * counts[4:].sum()).pvalue > 1e-4


def test_another_seed_gives_another_sample() -> None:
    graph = Graph.from_database(_star(200))
    sampler = Sampler(graph, [10], "uniform")
    at = np.array([0]), np.array([1000 * DAY])
    first = sampler.sample("users", *at, seed=1).nodes["events"].row
    assert (first == sampler.sample("users", *at, seed=1).nodes["events"].row).all()
    assert set(first) != set(sampler.sample("users", *at, seed=2).nodes["events"].row)


def test_an_example_without_neighbours() -> None:
    graph = Graph.from_database(_star(3))
    found = Sampler(graph, [4, 4]).sample("users", np.array([0, 0]), np.array([-5 * DAY, -5 * DAY]))
    assert found.node_count == 1 and found.edge_count == 0
    nothing = Sampler(graph, [4, 4]).sample("users", np.array([], np.int64), np.array([], np.int64))
    assert nothing.node_count == 0 and len(nothing.seeds) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": "recentt"}, "did you mean 'recent'"),
        ({"threads": 0}, "at least one thread"),
        ({"half_life_days": 0.0}, "must be positive"),
        ({"num_neighbors": [-2]}, "fan-out"),
        ({"num_neighbors": [{("users", "rev_f2p_usr", "events"): 1}]}, "did you mean"),
    ],
)
def test_bad_settings(change: dict[str, Any], said: str) -> None:
    graph = Graph.from_database(_star(3))
    with pytest.raises(InputError, match=said):
        Sampler(**{"graph": graph, "num_neighbors": [1], **change})


def test_bad_examples() -> None:
    sampler = Sampler(Graph.from_database(_star(3)), [1])
    with pytest.raises(InputError, match="did you mean 'users'"):
        sampler.sample("user", np.array([0]), np.array([0]))
    with pytest.raises(InputError, match="row 7 of 'users'"):
        sampler.sample("users", np.array([7]), np.array([0]))


def _star(events: int) -> Database:
    """One user with an event a day."""
    import pyarrow as pa

    from relbench_harness.data.table import Table

    times = pa.array(np.arange(events) * DAY).cast(pa.timestamp("ns"))
    columns = {"id": pa.array(np.arange(events)), "at": times, "user": pa.array(np.zeros(events, np.int64))}
    return Database(
        [
            Table("users", pa.table({"id": pa.array([0])}), key="id"),
            Table("events", pa.table(columns), key="id", time="at", references={"user": "users"}),
        ]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 10**5))
def test_distinct_rows(rows: list[int], stretch: int) -> None:
    row = np.array(rows, np.int32) * stretch
    nodes = Nodes(row, np.zeros(len(row), np.int32), np.array([len(row)]))
    distinct, index = nodes.distinct
    assert distinct.tolist() == sorted(set(row.tolist()))
    assert distinct[index].tolist() == row.tolist()
