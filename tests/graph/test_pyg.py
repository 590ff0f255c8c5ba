"""PyG's loaders over our sampler: their conventions hold, and what they yield is what the sampler found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_databases import DAY, databases, random_database
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.sampler import NegativeSampling

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.pyg import RelationalSampler, WithAttributes, hetero_data
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph

SECONDS = 86_400


def _database() -> Database:
    return random_database(np.random.default_rng(0), 20, 20, 150, 80)


@settings(max_examples=40, deadline=None)
@given(databases(), st.integers(0, 2**32))
def test_nodes_and_edges_are_those_sampled(database: Database, seed: int) -> None:
    graph = Graph.from_database(database)
    table = next((name for name in database if len(database[name])), None)
    if table is None:
        return
    rng = np.random.default_rng(seed)
    rows, times = rng.integers(0, len(database[table]), 9), rng.integers(0, 14, 9) * SECONDS
    loader = NodeLoader(
        hetero_data(graph),
        RelationalSampler(graph, [3, 2]),
        input_nodes=(table, torch.from_numpy(rows)),
        input_time=torch.from_numpy(times),
        batch_size=9,
    )
    data = next(iter(loader))
    assert data[table].n_id[:9].tolist() == rows.tolist()
    around = Sampler(graph, [3, 2], "uniform").sample(table, rows, times * 10**9)
    nodes = {name: around.nodes[name] for name in graph.sizes}
    for step in graph.steps:
        expected = set()
        for edges in around.edges:
            if edges.step == step:
                a, b = nodes[step.source], nodes[step.target]
                for s, t in zip(edges.source, edges.target, strict=True):
                    expected.add((int(b.row[t]), int(a.row[s]), int(around.cutoffs[a.cut[s]])))
        store = data[step.message_type]
        row, col = store.edge_index.numpy()
        sent, received = data[step.target], data[step.source]
        seed_time = data[table].seed_time.numpy()
        found = {
            (int(sent.n_id[r]), int(received.n_id[c]), int(seed_time[received.batch[c]]) * 10**9)
            for r, c in zip(row, col, strict=True)
        }
        assert found == expected
        assert (seed_time[sent.batch.numpy()[row]] == seed_time[received.batch.numpy()[col]]).all()
        assert sum(store.num_sampled_edges) == len(row)
    for name in graph.sizes:
        assert sum(data[name].num_sampled_nodes) == len(data[name].n_id)
        if "time" in data[name]:
            own = 9 if name == table else 0
            age = data[table].seed_time[data[name].batch] - data[name].time
            assert (age[own:] > 0).all()


def test_a_pyg_model_learns_from_its_batches() -> None:
    database = _database()
    graph = Graph.from_database(database)
    attributes = Encoders.fit(database, 12 * DAY).encode(database)
    loader = NodeLoader(
        hetero_data(graph),
        RelationalSampler(graph, {s.message_type: [4, 4] for s in graph.steps}, "recent"),
        input_nodes=("users", torch.arange(20)),
        input_time=torch.full((20,), 9 * SECONDS),
        transform=WithAttributes(graph, attributes),
        batch_size=8,
    )
    convolution = HeteroConv({s.message_type: SAGEConv((-1, -1), 4) for s in graph.steps})
    seen = 0
    for data in loader:
        inputs = {}
        for name in graph.sizes:
            frame = data[name].tf
            known = frame.feat_dict.get("numerical", torch.zeros(len(data[name].n_id), 1))
            assert "numerical" not in frame.feat_dict or frame.num_rows == len(data[name].n_id)
            inputs[name] = torch.cat([known.nan_to_num(), torch.ones(len(known), 1)], dim=1)
        out = convolution(inputs, data.edge_index_dict)["users"][: data["users"].batch_size]
        assert out.isfinite().all() and len(out) == data["users"].batch_size
        seen += len(out)
    assert seen == 20
    assert data["events"].tf.col_names_dict["numerical"][0] == "value"


@pytest.mark.parametrize("negatives", [None, NegativeSampling("binary", 2.0), NegativeSampling("triplet", 3)])
@pytest.mark.parametrize(("source", "target"), [("users", "items"), ("notes", "notes")])
def test_links(negatives: NegativeSampling | None, source: str, target: str) -> None:
    graph = Graph.from_database(_database())
    kind = next(s.message_type for s in graph.steps) if source == "users" else ("notes", "f2p_reply to", "notes")
    data = hetero_data(graph)
    kind = (source, "asks", target) if source == "users" else kind
    data[kind].edge_index = torch.empty((2, 0), dtype=torch.long)
    links = torch.stack([torch.arange(12), torch.arange(12) % 7])
    times = torch.arange(12) * SECONDS
    sampler = RelationalSampler(graph, [3, 3])
    loader = LinkLoader(
        data, sampler, edge_label_index=(kind, links), edge_label_time=times, neg_sampling=negatives, batch_size=12
    )
    batch = next(iter(loader))
    if negatives is None or negatives.is_binary():
        index = batch[kind].edge_label_index
        assert torch.equal(batch[source].n_id[index[0, :12]], links[0])
        assert torch.equal(batch[target].n_id[index[1, :12]], links[1])
        if negatives is not None:
            assert batch[kind].edge_label.tolist() == [1.0] * 12 + [0.0] * 24
            assert torch.equal(batch[source].n_id[index[0, 12:]], links[0].repeat(2))
            assert torch.equal(batch[kind].edge_label_time, times.repeat(3))
    else:
        assert torch.equal(batch[source].n_id[batch[source].src_index], links[0])
        assert torch.equal(batch[target].n_id[batch[target].dst_pos_index], links[1])
        assert batch[target].dst_neg_index.shape == (12, 3)
        assert int(batch[target].dst_neg_index.max()) < len(batch[target].n_id)


def test_an_unknown_edge_type() -> None:
    with pytest.raises(InputError, match="no edge type"):
        RelationalSampler(Graph.from_database(_database()), {("users", "to", "items"): [1]})
